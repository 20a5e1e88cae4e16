# fne in shards under make: as many at a time as `make -j` says, each resumed by the next make.
#
#     make -f scripts/shards.mk -j2 IMAGES=photos OUTPUT=photos SHARDS=8 OPTIONS="--model vgg16 --workers 8"
#
# ends with photos.h5. The output of a command exists if and only if it is complete, so make's own rule is right.
# photos.how remembers the options and what images there were. Images that have changed since make every shard again, of
# which fne computes what is new; options that have are an error of fne: it says in what the shards differ.
IMAGES  ?= photos
OUTPUT  ?= photos
SHARDS  ?= 4
OPTIONS ?= --model vgg16

numbers := $(shell seq $(SHARDS))
there   := $(shell find -L $(IMAGES) -type f -printf '%p %s %T@\n' | LC_ALL=C sort | sha256sum | cut -c-16)

$(OUTPUT).h5: $(numbers:%=$(OUTPUT)-%-of-$(SHARDS).h5)
	fne merge $^ $@

$(OUTPUT)-%-of-$(SHARDS).h5: $(OUTPUT).how
	fne extract $(IMAGES) $@ --shard $*/$(SHARDS) $(OPTIONS)

$(OUTPUT).how: FORCE
	$(file >$@.new,$(IMAGES) $(there) $(OPTIONS))
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.PHONY: FORCE
FORCE:
