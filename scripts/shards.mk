# fne in shards under make: as many at a time as `make -j` says, each resumed by the next make.
#
#     make -f scripts/shards.mk -j2 IMAGES=photos OUTPUT=photos SHARDS=8 OPTIONS="--model vgg16 --workers 8"
#
# ends with photos.h5. The output of a command exists if and only if it is complete, so make's own rule is right.
# Options that have changed since, which photos.how remembers, are an error of fne: it says in what the shards differ.
IMAGES  ?= photos
OUTPUT  ?= photos
SHARDS  ?= 4
OPTIONS ?= --model vgg16

numbers := $(shell seq $(SHARDS))

$(OUTPUT).h5: $(numbers:%=$(OUTPUT)-%-of-$(SHARDS).h5)
	fne merge $^ $@

$(OUTPUT)-%-of-$(SHARDS).h5: $(OUTPUT).how
	fne extract $(IMAGES) $@ --shard $*/$(SHARDS) $(OPTIONS)

$(OUTPUT).how: FORCE
	$(file >$@.new,$(IMAGES) $(OPTIONS))
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.PHONY: FORCE
FORCE:
