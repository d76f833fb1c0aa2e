#!/bin/bash
# bench.sh: the measurements behind the README's numbers, on a server of its own, beside
# those of peers; best on an idle machine.
#
#   make bench         with the peers that this machine has, the others are skipped
#   make bench-peers   with the newest ones, which live in a root of Debian sid made for
#                      them in $CACHE; it stays there for the next time.  Needs sudo.
#
# BENCH      selects some of them, as words: limit step training sessions predict clusters
#            word2vec, and what is not done otherwise, parity (whole trainings' errors)
# EVENTS     events in the log of sessions (5,000,000; last.fm-1K has 19,150,868)
# TRAINING   options of bench/parity_training.py
# MARKDOWN   where the tables go as well (build/bench.md)
# CACHE      where the root is (/var/cache/sessionlen-peers); remove it to have newer ones
# PEERS      a root of your own to take the peers from.  Needs sudo.
# KEEP=1     leaves the work directory behind (without servers)
#
# What the parts print for table.pl, lines of RESULT and VERSION, is left out of the output.

. "$(dirname "${BASH_SOURCE[0]}")/../test/lib.sh"
. "$sl_top/test/root.sh"

read -ra select <<<"${BENCH:-limit step training sessions predict clusters word2vec}"
events=${EVENTS:-5000000}
read -ra training <<<"${TRAINING:-}"
markdown=${MARKDOWN:-$sl_top/build/bench.md}
cache=${CACHE:-/var/cache/sessionlen-peers}
peers=${PEERS:-}
packages=python3-torch,python3-sklearn,python3-onnxruntime,python3-onnx,python3-gensim
packages+=,duckdb,libdnnl-dev,g++,postgresql-client,libopenblas0-pthread
unset PEERS

[ "${1:-}" != peers ] || peers=$cache
if [ -n "$peers" ] && [ "$(id -u)" != 0 ]; then
	PEERS=$peers exec sudo --preserve-env=BENCH,EVENTS,TRAINING,MARKDOWN,CACHE,PEERS,MIRROR,KEEP "$0" "$@"
fi

# ---- peers ------------------------------------------------------------------------

# Without libopenblas0-pthread the BLAS of sid's PyTorch would be the slow reference.
make_peers()
{
	[ ! -d "$cache" ] || return 0
	need_mmdebstrap
	mkdir -p "$(dirname "$cache")"
	rm -rf --one-file-system "$cache.new"
	make_root "$cache.new" sid '' "$packages" && mv "$cache.new" "$cache" ||
		sl_die "the root of the peers could not be made"
	sl_say "made $cache, $(du -sh "$cache" | cut -f 1): rm -rf removes it"
}

# peer COMMAND...: in the sources and with the server's database, here or in the root.
peer()
{
	if [ -n "$peers" ]; then
		MOUNT=$sl_work in_root "$peers" env -C /mnt/src LC_ALL=C.UTF-8 \
			LOKY_MAX_CPU_COUNT="$(nproc)" PGHOST=/mnt/sock \
			PGPORT="$PGPORT" PGUSER="$PGUSER" PGDATABASE=bench "$@"
	else
		sl_as env -C "$sl_src" PGDATABASE=bench PATH="$sl_bin:$PATH" "$@" </dev/null
	fi
}

# has NAME COMMAND...: is it there?
has()
{
	local name=$1
	shift
	peer "$@" >/dev/null 2>&1 && return
	printf '%s\n' "$name is not installed${peers:+ in $peers}: its side is skipped"
	return 1
}

python=/usr/bin/python3

has_torch()
{
	has "PyTorch (python3-torch)" $python -c 'import torch'
}

# ---- the measurements --------------------------------------------------------------

# What any number depends on.
describe_machine()
{
	printf '%s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
		"$(nproc) processors, load before $load, after $(cut -d ' ' -f 1 /proc/loadavg)." |
		paste -sd ' '
}

psql_quiet()
{
	cd "$sl_src" && sl_as "$sl_bin/psql" -X -q -v ON_ERROR_STOP=1 -d bench "$@"
}

# The machine's programs, in C.
core()
{
	local program=$sl_src/build/bench/$1
	shift
	sl_make -C bench "$program" >/dev/null && sl_as "$program" "$@" </dev/null
}

bench_limit()
{
	core limit
}

# One step of each network, ours and the peers' in turn.
bench_step()
{
	local cell shape torch=1 onednn=build/bench/step_onednn
	sl_make -C bench "$sl_src/build/bench/step" || return
	has_torch || torch=
	has "oneDNN 3 (libdnnl-dev, g++)" \
		g++ -O2 -fopenmp -o $onednn bench/step_onednn.cpp -ldnnl || onednn=
	while read -r cell shape <&3; do
		core step "$cell" "$shape"
		[ -z "$torch" ] || peer $python bench/step_torch.py "$cell" "$shape"
		[ -z "$onednn" ] || [[ $cell == *-decoder ]] || peer $onednn "$cell" "$shape"
	done 3<"$sl_src/bench/shapes"
}

bench_training()
{
	psql_quiet -f bench/training.sql || return
	! has_torch || peer $python bench/step_torch.py epoch 600000
}

# Parallel as by default.
bench_sessions()
{
	psql_quiet -v events="$events" -v workers=2 -v csv="$sl_src/log.csv" -f bench/sessions.sql || return
	! has DuckDB duckdb --version || sessions_duckdb
}

# Twice with one thread and with all.
sessions_duckdb()
{
	local work threads
	work="sessions() of $(sed ':again; s/\B[0-9]\{3\}\>/,&/; t again' <<<"$events") events"
	peer duckdb --version | awk '{ print "VERSION\tDuckDB\t" substr($1, 2) }'
	peer duckdb log.duckdb -c 'CREATE TABLE log (user_id BIGINT, ts TIMESTAMP, duration DOUBLE)' \
		-c "COPY log FROM 'log.csv' (FORMAT csv, HEADER false)" || return
	for threads in 1 1 $(nproc) $(nproc); do
		printf '%s\n' "DuckDB, $threads threads"
		peer sh -c "{ echo 'SET threads = $threads;'; cat bench/sessions_duckdb.sql; } |
			duckdb -readonly log.duckdb" || return
	done | awk -v OFS='\t' -v work="$work" '{ print }
		/^DuckDB/ { threads = $2 } /: / && !/^Run/ { what = $0 }
		/^Run Time/ && what ~ /^windows/ {
			print "RESULT", work, "DuckDB", $5, threads " threads"
		}'
}

bench_predict()
{
	psql_quiet -f bench/predict.sql || return
	! has "ONNX Runtime (python3-onnxruntime, python3-onnx)" \
		$python -c 'import onnx, onnxruntime' || peer $python bench/predict_onnx.py || return
	! has_torch || peer $python bench/predict_torch.py
}

has_psql()
{
	has "psql (postgresql-client)" psql --version
}

bench_clusters()
{
	! has "scikit-learn (python3-sklearn)" $python -c 'import sklearn' || ! has_psql ||
		peer $python bench/clusters.py --quick --only speed
}

bench_word2vec()
{
	! has "gensim (python3-gensim)" $python -c 'import gensim' || ! has_psql ||
		peer $python bench/word2vec.py --items 30000 --sequences 40000 --epochs 2
}

bench_parity()
{
	sl_make build/listening || return
	! has_torch || ! has_psql || peer $python bench/parity_training.py "${training[@]}"
}

# record COMMAND...: its output is kept for the tables.
record()
{
	"$@" 2>&1 | tee -a "$sl_work/results" | grep --line-buffered -vP '^(RESULT|VERSION)\t'
	return "${PIPESTATUS[0]}"
}

versions()
{
	printf 'VERSION\tPostgreSQL\t%s\n' "$(psql_quiet -Atc 'SHOW server_version')"
	psql_quiet -Atc "SELECT concat_ws(E'\\t', 'VERSION', 'OpenBLAS', substring(blas, '[0-9.]+') || ' ' || blas_kernel) FROM sessionlen.build_info()"
}

tables()
{
	describe_machine
	echo
	perl "$sl_top/bench/table.pl" <"$sl_work/results"
}

main()
{
	local name status=0 load
	load=$(cut -d ' ' -f 1 /proc/loadavg)
	for name in "${select[@]}"; do
		[ "$(type -t "bench_$name")" = function ] || sl_die "there is no measurement \"$name\""
	done
	sl_packages build
	[ "$peers" != "$cache" ] || make_peers
	sl_workdir "$(mktemp -d /var/tmp/sessionlen-bench.XXXXXX)"
	trap sl_clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	sl_private_tree
	sl_copy_sources
	sl_build
	sl_server_start "$sl_work/data_dir" "shared_buffers = 512MB" "max_wal_size = 8GB"
	sl_as "$sl_bin/createdb" bench && psql_quiet -c 'CREATE EXTENSION sessionlen' ||
		sl_die "the database could not be made"
	sl_run record versions
	for name in "${select[@]}"; do
		sl_say "$name"
		sl_run record "bench_$name" || status=1
	done
	mkdir -p "$(dirname "$markdown")"
	echo
	tables | tee "$markdown"
	sl_say "also in $markdown"
	return $status
}

main "$@"
exit
