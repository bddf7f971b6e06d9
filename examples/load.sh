#!/usr/bin/env bash
# A producer in the shell: reads the load of this machine once a second, but only while host/load has a subscriber.
# `oncue pub` writes +topic and -topic, and publishes the lines that it reads.
coproc ONCUE { oncue pub tcp://127.0.0.1:8888; }
wanted=no
while true; do
  while read -r -t 1 edge <&"${ONCUE[0]}"; do
    case $edge in
      +host/load) wanted=yes ;;
      -host/load) wanted=no ;;
    esac
  done
  if [ "$wanted" = yes ]; then
    printf 'host/load\t%s\n' "$(cut -d' ' -f1-3 /proc/loadavg)" >&"${ONCUE[1]}"
  fi
done
