#!/bin/bash
# Trains on two nodes under Slurm: sbatch slurm.sh [more options of digitcnn train]
#
# SECURITY. TensorFlow's runtime has no authentication and no encryption: whoever reaches port 8888 of your nodes can
# run graphs in your processes, and read and write files as you. On a cluster that others use, that is everyone who can
# log in to a node, unless the nodes' firewall keeps other users' connections out: ask before you use this there.
#
# `digitcnn train` reads Slurm's variables: each task that srun starts is a worker, and task 0 writes the run folder.
# All nodes need the same digitcnn, TensorFlow and data, and names whose numbers have the same length (node01, node02).
# Where http_proxy is set, exempt the nodes: export no_grpc_proxy=.cluster.example, the end of their names.
#SBATCH --job-name=digitcnn
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=01:00:00
# A minute before the time is over, Slurm sends SIGTERM to the workers: they save a checkpoint, and this job is queued
# again. --requeue also starts it again after a node has failed.
#SBATCH --signal=TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append

readonly LOST=75         # exit status of a worker that lost another one
readonly TERMINATED=143  # of one that SIGTERM asked to stop, after it saved
readonly MAX_ATTEMPTS=20
readonly PAUSE=10        # seconds before another attempt

cancelled=
trap 'cancelled=yes' TERM # scancel's, which the script gets too

for attempt in $(seq "$MAX_ATTEMPTS"); do
  # --kill-on-bad-exit=0: a worker that ends early must not take worker 0 away from its checkpoint. The others notice
  # and end by themselves. The folder of --run must be on a file system that all nodes share. srun's status is the
  # highest of its tasks', with 128 added to a signal that killed one.
  srun --kill-on-bad-exit=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    digitcnn train --data mnist --recipe fast --seed 27 --run logs/slurm-mnist-fast --checkpoint-every 100 "$@"
  status=$?
  if [[ $cancelled ]]; then
    exit "$TERMINATED"
  fi
  case $status in
    "$LOST" | 134 | 137 | 139) # SIGABRT, SIGKILL, SIGSEGV
      echo "Attempt $attempt of $MAX_ATTEMPTS: a worker was lost (status $status); another in $PAUSE s" >&2
      sleep "$PAUSE"
      ;;
    "$TERMINATED")
      echo "Out of time: the job is queued again, and resumes from the last checkpoint" >&2
      exec scontrol requeue "$SLURM_JOB_ID"
      ;;
    *) exit "$status" ;; # complete, or a mistake that no restart mends
  esac
done
exit "$LOST"
