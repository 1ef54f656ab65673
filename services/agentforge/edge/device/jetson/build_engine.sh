#!/usr/bin/env bash
# Builds this package's two TensorRT engines (decode: one token, prefill: a piece) on the Jetson that will run them.
#
#   ./build_engine.sh [--precision fp16|fp32|int8] [options]      --help tells the rest
#
# Only flags of trtexec 8.5.2 are used. An engine holds for one board, one TensorRT and one model: it is named by
# all of them, has a sidecar .json that says them, and one whose sidecar says anything else is refused.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 7
root=${AGENTFORGE_ROOT:-} # a prefix for /etc, /proc, /sys and /usr; only tests set it
engines=$here/engines

precision=fp16 dla='' workspace=1024 limit=7200 trtexec=''
any_l4t=0 force=0 dry=0 verify=1 triton=0
device='' sm='' l4t='' tensorrt='' child='' partial='' first_stop=0
declare -A answer

usage() {
  cat <<'TEXT'
usage: build_engine.sh [options]
  --precision P    fp16 (default), fp32, or int8 (models/model_int8_qdq.onnx; needs calibration/)
  --workspace MIB  scratch memory that TensorRT may use while building (default 1024)
  --time-limit S   seconds for one engine (default 7200)
  --trtexec PATH   default: /usr/src/tensorrt/bin/trtexec, else the one in PATH
  --dla N          DLA core N, with GPU fallback; of no use to this model, which has almost nothing a DLA can run
  --any-l4t        do not insist on L4T R35
  --triton         lay out engines/triton/ as a model repository for Triton
  --force          build again, also over an engine that is refused
  --dry-run        print the trtexec commands; build nothing
  --no-verify      do not run verify.py afterwards
exit codes
  0  built, or built before      5  too little disk or memory       9   built, but verify.py failed
  2  wrong usage                 6  an engine from elsewhere        75  another build is running
  3  not a device for this       7  a file of the package is wrong  129, 130, 143  stopped by a signal
  4  no TensorRT 8.5             8  trtexec failed
TEXT
}

say() { printf 'build_engine: %s\n' "$*" >&2; }

# A dry run goes on, to show the commands, and ends with the first code that would have stopped a real one.
stop() {
  local code=$1
  shift
  if ((dry)); then
    say "would stop here ($code): $*"
    ((first_stop)) || first_stop=$code
    return 0
  fi
  say "$*"
  exit "$code"
}

wrong_usage() {
  say "$1"
  exit 2
}

parse() {
  while (($#)); do
    if [[ $1 == --*=* ]]; then set -- "${1%%=*}" "${1#*=}" "${@:2}"; fi
    case $1 in
    --precision | --workspace | --time-limit | --trtexec | --dla)
      [[ -n ${2-} ]] || wrong_usage "$1 needs a value"
      case $1 in
      --precision) precision=$2 ;;
      --workspace) workspace=$2 ;;
      --time-limit) limit=$2 ;;
      --trtexec) trtexec=$2 ;;
      --dla) dla=$2 ;;
      esac
      shift 2
      continue
      ;;
    --any-l4t) any_l4t=1 ;;
    --triton) triton=1 ;;
    --force) force=1 ;;
    --dry-run) dry=1 ;;
    --no-verify) verify=0 ;;
    -h | --help) usage; exit 0 ;;
    *) wrong_usage "unknown option $1; --help tells which there are" ;;
    esac
    shift
  done
  [[ $precision =~ ^(fp16|fp32|int8)$ ]] || wrong_usage "--precision must be fp16, fp32 or int8, not $precision"
  [[ $workspace,$limit =~ ^[1-9][0-9]{0,5},[1-9][0-9]{0,5}$ ]] ||
    wrong_usage "--workspace and --time-limit take whole numbers"
  [[ $dla =~ ^[01]?$ ]] || wrong_usage "--dla takes 0 or 1"
  [[ -z $dla || $precision == fp16 ]] || wrong_usage "--dla works with fp16 only: no fp32 there, no Q/DQ"
}

check_device() {
  local chip release=$root/etc/nv_tegra_release tree=$root/proc/device-tree
  l4t=$(sed -n '1s/^# R\([0-9]*\) (release), REVISION: \([0-9.]*\).*/\1.\2/p' "$release" 2>/dev/null)
  device=$(tr -d '\0\t\n' 2>/dev/null <"$tree/model")
  chip=$(tr '\0' '\n' 2>/dev/null <"$tree/compatible" | sed -n 's/^nvidia,\(tegra[0-9]*\)$/\1/p' | head -n 1)
  [[ -n $chip ]] || chip=$(cat "$root/sys/module/tegra_fuse/parameters/tegra_chip_id" 2>/dev/null)
  case $chip in
  tegra194 | 25) sm=72 ;; # Xavier
  tegra234 | 35) sm=87 ;; # Orin
  esac
  if [[ -z $l4t && -z $chip ]]; then
    stop 3 "this is no Jetson ($(uname -m), no /etc/nv_tegra_release). Engines are built on the board that runs" \
      "them; elsewhere this package runs on onnxruntime: python3 verify.py --backend onnxruntime"
  elif [[ $l4t != 35.* ]] && ! ((any_l4t)); then
    stop 3 "L4T here is ${l4t:-unknown}, this package is for R35 (JetPack 5.1). --any-l4t builds nevertheless"
  elif [[ -z $sm || -z $device ]]; then
    stop 3 "neither Xavier (tegra194) nor Orin (tegra234): chip '${chip:-unknown}', board '${device:-unknown}'"
  fi
  device=${device:-unknown} sm=${sm:-72}
}

check_tensorrt() {
  local banner digits
  if [[ -z $trtexec ]]; then
    trtexec=$root/usr/src/tensorrt/bin/trtexec
    [[ -x $trtexec ]] || trtexec=$(command -v trtexec) || trtexec=
  fi
  if [[ -z $trtexec || ! -x $trtexec ]]; then
    stop 4 "no trtexec${trtexec:+ at $trtexec}: install libnvinfer-bin and python3-libnvinfer of JetPack 5.1," \
      "or give --trtexec"
    trtexec=${trtexec:-trtexec} tensorrt=8.5.2
    return
  fi
  banner=$("$trtexec" --help 2>&1) || true
  digits=$(sed -n 's/.*\[TensorRT v\([0-9]*\)\].*/\1/p' <<<"$banner" | head -n 1)
  # v8502 is 8.5.2; from TensorRT 10 on it is v100600
  if [[ $digits =~ ^[0-9]{4}$ ]]; then tensorrt=${digits:0:1}.${digits:1:1}.$((10#${digits:2:2})); fi
  if [[ $tensorrt != 8.5.* ]]; then
    stop 4 "TensorRT here is ${tensorrt:-${digits:-unknown}}, this package is for 8.5 (rules and flags are 8.5's)"
    tensorrt=8.5.2
  fi
}

free_kb() {
  local folder=$engines # may be another disk than the package's
  [[ -d $folder ]] || folder=$here
  df -Pk "$folder" | awk 'NR == 2 {print $4}'
}

check_room() {
  local model_kb memory_kb need_kb
  model_kb=$(($(wc -c <"$here/models/$(model_file)") / 1024))
  need_kb=$((4 * model_kb + 65536)) # two engines of at most twice the file, logs and the timing cache
  if (($(free_kb) < need_kb)); then
    stop 5 "the disk is full: $(($(free_kb) / 1024)) MiB free, $((need_kb / 1024)) MiB may be needed in $engines"
  fi
  need_kb=$(((workspace + 1024) * 1024 + 4 * model_kb)) # TensorRT and its libraries take most of a GiB themselves
  memory_kb=$(awk '/^MemAvailable:/ {print $2}' "$root/proc/meminfo" 2>/dev/null)
  if [[ -n $memory_kb ]] && ((memory_kb < need_kb)); then
    stop 5 "too little memory: $((memory_kb / 1024)) MiB are available, $((need_kb / 1024)) MiB may be needed." \
      "Stop other programs, or lower --workspace (now $workspace)"
  fi
}

model_file() { if [[ $precision == int8 ]]; then echo model_int8_qdq.onnx; else echo model.onnx; fi; }

# Python reads the JSON: ask VERB PROFILE [more] -> lines of key, tab, value
ask() {
  local verb=$1 profile=$2
  shift 2
  (cd "$here" && python3 -m runtime.tensorrt_plan "$verb" --package "$here" --device "$device" --sm "$sm" \
    --tensorrt "$tensorrt" --profile "$profile" --precision "$precision" ${dla:+--dla "$dla"} --l4t "$l4t" "$@")
}

read_answer() {
  local text key value
  text=$(ask "$@") || exit 7
  while IFS=$'\t' read -r key value; do answer[$key]=$value; done <<<"$text"
}

# Never loaded; said, so that nobody wonders why a copied engine is not used.
tell_of_others() {
  local name reason
  compgen -G "$engines/*.plan" >/dev/null || return 0
  while IFS=$'\t' read -r name reason; do
    [[ -z $name ]] || say "not used: engines/$name $reason"
  done < <(ask others decode 2>/dev/null)
}

trtexec_arguments() {
  arguments=(
    "--onnx=$here/models/$(model_file)"
    "--minShapes=${answer[min]}" "--optShapes=${answer[opt]}" "--maxShapes=${answer[max]}"
    "--memPoolSize=workspace:$workspace"
    "--timingCacheFile=$engines/timing.$(tr -c 'A-Za-z0-9\n' '-' <<<"$device").sm$sm.trt$tensorrt.cache"
    "--saveEngine=$partial" --buildOnly
  )
  case $precision in
  fp32) arguments+=(--noTF32) ;; # an Orin would take TF32 and say nothing
  fp16) arguments+=(--fp16) ;;
  int8) arguments+=(--int8 --fp16 "--calib=$here/calibration/calibration.cache") ;;
  esac
  # A layer that computes in FP32 may still hand on FP16, and a square overflows there: fix both.
  if [[ -n ${answer[layers]} ]]; then
    arguments+=(--precisionConstraints=obey "--layerPrecisions=${answer[layers]}")
    arguments+=("--layerOutputTypes=${answer[layers]}")
  fi
  if [[ -n $dla ]]; then arguments+=("--useDLACore=$dla" --allowGPUFallback); fi
}

build() {
  local profile=$1 plan log code arguments began
  read_answer ask "$profile"
  plan=$engines/${answer[plan]} partial=$engines/${answer[plan]}.partial log=${plan%.plan}.log
  trtexec_arguments
  if ((dry)); then
    printf '%q ' "$trtexec" "${arguments[@]}"
    echo
    return
  fi
  if ! ((force)); then
    case ${answer[state]} in
    ready)
      say "$profile: engines/${answer[plan]} was built before"
      return
      ;;
    refused) stop 6 "engines/${answer[plan]} ${answer[reason]}. It is not loaded: remove it, or use --force" ;;
    esac
  fi
  rm -f "$plan" "$engines"/*.partial
  say "$profile: building engines/${answer[plan]}; this takes minutes, log: $log"
  began=$SECONDS
  timeout --kill-after=10 "$limit" "$trtexec" "${arguments[@]}" >"$log" 2>&1 &
  child=$!
  wait "$child"
  code=$?
  child=
  if ((code)) || [[ ! -s $partial ]]; then explain "$profile" "$code" "$log" $((SECONDS - began)); fi
  # trtexec only warns of an input that it was given no shape for, and builds an engine for size 1.
  if grep -q 'Automatically overriding shape' "$log"; then
    rm -f "$partial"
    stop 7 "$profile: models/profiles.json lacks an input: $(grep -m 1 'Automatically overriding' "$log")"
  fi
  if ! ask seal "$profile" --partial "$partial" >/dev/null; then
    rm -f "$engines"/*.partial
    stop 5 "$profile: the engine could not be given its name and sidecar"
  fi
  partial=
}

explain() {
  local profile=$1 code=$2 log=$3 took=$4
  rm -f "$partial"
  grep -F '[E]' "$log" | tail -n 5 >&2
  if ((code == 124 || (code == 137 && took >= limit + 10))); then
    stop 8 "$profile: not done within $limit s; give more with --time-limit"
  elif grep -qiE 'no space left|Saving engine to file failed' "$log"; then
    stop 5 "$profile: the engine could not be written; the disk has $(($(free_kb) / 1024)) MiB free"
  elif ((code == 137)) || grep -qiE 'out ?of ?memory|bad_alloc' "$log"; then
    stop 5 "$profile: out of memory. Stop other programs, add swap, or lower --workspace (now $workspace)"
  fi
  stop 8 "$profile: trtexec ended with $code; its log: $log"
}

lay_out_triton() {
  local profile folder
  for profile in decode prefill; do
    folder=$engines/triton/agentforge_$profile
    read_answer ask "$profile"
    if ! mkdir -p "$folder/1" || ! cp "$here/triton/agentforge_$profile/config.pbtxt" "$folder/" ||
      ! ln -sf "../../../${answer[plan]}" "$folder/1/model.plan"; then
      stop 5 "cannot lay out $folder"
    fi
  done
  say "Triton: tritonserver --model-repository=$engines/triton"
}

# trtexec is a child in the background, so that this runs at once and not after an hour of building.
on_signal() {
  trap - INT TERM HUP
  if [[ -n $child ]]; then
    kill -TERM "$child" 2>/dev/null
    wait "$child" 2>/dev/null
  fi
  rm -f "$partial"
  say "stopped by a signal; no engine was left half built"
  exit "$1"
}

# The lock is inherited by trtexec: one that outlives this script still keeps others out.
take_turn() {
  if ! mkdir -p "$engines" || ! exec 9>"$engines/.lock"; then stop 5 "cannot write to $engines"; fi
  flock -n 9 || stop 75 "another build is running in $engines"
  trap 'on_signal 130' INT
  trap 'on_signal 143' TERM
  trap 'on_signal 129' HUP
}

main() {
  parse "$@"
  check_device
  check_tensorrt
  [[ -f $here/models/$(model_file) ]] || { dry=0 && stop 7 "models/$(model_file) is missing"; }
  check_room
  if ! ((dry)); then
    take_turn
    tell_of_others
  fi
  build decode
  build prefill
  if ((dry)); then exit "$first_stop"; fi
  if ((triton)); then lay_out_triton; fi
  if ((verify)); then
    (cd "$here" && exec python3 verify.py --backend tensorrt 9>&-) || stop 9 "built, but verify.py says no"
  fi
}

main "$@"
