#!/usr/bin/env bash
# A real Slurm with this machine as its only node, for tests and for trying a job script out.
#
#     apt-get install slurm-wlm munge
#     scripts/slurm_local.sh start FOLDER    prints what to export, once the node is idle
#     scripts/slurm_local.sh stop FOLDER     cancels what runs and ends the daemons
#
# Keys, sockets, state and logs are in FOLDER; nothing of the system's own Slurm or munge is touched. Wants root. Needs
# neither cgroups nor a database: proctrack/linuxproc, task/none, select/cons_tres, no accounting.
set -euo pipefail

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# = 2 ] || usage
command=$1
case $command in
    start) mkdir -p "$2" ;;
    stop) # another's slurm.conf would have another's jobs cancelled
        grep -qsx "AuthInfo=socket=$(realpath -m "$2")/munge/socket" "$2/slurm.conf" || {
            echo "slurm_local.sh: stop should have the folder that start was given. Found: no Slurm in $2" >&2
            exit 1
        } ;;
    *) usage ;;
esac
folder=$(realpath "$2")
export SLURM_CONF=$folder/slurm.conf

find_command() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" || {
        echo "slurm_local.sh: there should be $1. Install it: apt-get install slurm-wlm munge" >&2
        exit 1
    }
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

start() {
    munged=$(find_command munged) slurmctld=$(find_command slurmctld) slurmd=$(find_command slurmd)
    mkdir -p "$folder"/{munge,state,spool,log}
    chmod 700 "$folder/munge"
    host=$(hostname -s)
    head -c 1024 /dev/urandom >"$folder/munge/key"
    chmod 600 "$folder/munge/key"
    cat >"$SLURM_CONF" <<END
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=5
SlurmctldTimeout=120
SlurmdTimeout=120
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
PartitionName=local Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
    "$munged" --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
        --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    "$slurmctld" -c
    "$slurmd" -c
    for _ in $(seq 60); do
        [ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && { echo "export SLURM_CONF=$SLURM_CONF"; exit 0; }
        sleep 0.5
    done
    echo "slurm_local.sh: the node should be idle by now. Found: $(sinfo -h -o '%T, %E' 2>&1)" >&2
    tail -n 5 "$folder"/log/* >&2
    stop
    exit 1
}

end() {
    [ -f "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 40); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.25
    done
    kill -9 "$pid"
}

stop() {
    scancel --user root 2>/dev/null || true
    for _ in $(seq 40); do
        [ -z "$(squeue -h 2>/dev/null)" ] && break
        sleep 0.5
    done
    end "$folder/slurmd.pid"
    end "$folder/slurmctld.pid"
    end "$folder/munge/pid"
}

"$command"
