#!/bin/sh
# Fuzzes every parser for so many seconds each: run.sh SECONDS [PARSER...]. What crashes one is left in FailCases.
set -eu
cd "$(dirname "$0")"
seconds=${1:?usage: run.sh SECONDS [PARSER...]}
shift
[ $# -gt 0 ] || set -- RequestHead ResponseHead Chunked Trailers Authority Cookies Frames Minecraft MinecraftStatus ProxyHeader HTTP2
# The backtracer would hang on libFuzzer's crash handling.
export SWIFT_BACKTRACE=enable=no
swift build -c release
for parser; do
    corpus=.build/corpus/$parser
    mkdir -p "$corpus" "FailCases/$parser"
    seeds=FailCases/$parser
    [ "$parser" != RequestHead ] || seeds="$seeds ../WireTests/Corpus/accept ../WireTests/Corpus/reject"
    .build/release/Fuzz"$parser" -max_total_time="$seconds" -max_len=600 -timeout=5 -print_final_stats=1 -verbosity=0 \
        -dict=http.dict -artifact_prefix="FailCases/$parser/" "$corpus" $seeds
    echo "$parser: no failure in $seconds s, $(ls "$corpus" | wc -l) inputs kept"
done
