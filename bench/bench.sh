#!/bin/bash
# bench.sh: the measurements behind the README's numbers, on a server of its own.  Run by
# "make bench"; best on an idle machine.
#
# BENCH selects some of them, as words: step sessions predict training
# EVENTS=N      events in the log of sessions (5,000,000; last.fm-1K has 19,150,868)
# TRAINING=...  options of bench/parity_training.py
# KEEP=1        leaves the work directory behind (without servers)
#
# PyTorch (python3-torch) is compared with where it is installed.

. "$(dirname "${BASH_SOURCE[0]}")/../test/lib.sh"

read -ra select <<<"${BENCH:-step sessions predict training}"
events=${EVENTS:-5000000}
read -ra training <<<"${TRAINING:-}"
python=/usr/bin/python3

torch_installed()
{
	"$python" -c 'import torch' 2>/dev/null && return
	sl_say "PyTorch is not installed (apt install python3-torch): ${1}skipped"
	return 1
}

# What any number depends on.
describe_machine()
{
	sl_say "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
		"$(nproc) processors, load $(cut -d ' ' -f 1 /proc/loadavg)"
}

psql_quiet()
{
	cd "$sl_src" && sl_as "$sl_bin/psql" -X -q -v ON_ERROR_STOP=1 -d bench "$@"
}

# One training step: ours on one processor, PyTorch on the number of threads that suits it
# best.  The time of the processor, PyTorch's with one thread, is less disturbed by others.
bench_step()
{
	sl_run sl_make -C bench step | tee "$sl_work/step"
	torch_installed "its side is " || return 0
	sl_run sl_as "$python" "$sl_src/bench/step_torch.py" | tee "$sl_work/step_torch"
	awk 'FNR == NR { if ($4 == "ms/step") { ours[$1, $2] = $3; ours_cpu[$1, $2] = $6 + 0 } next }
		$4 == "threads" && $3 == 1 { cpu[$1, $2] = $8 + 0 }
		$3 == "best" && ($1, $2) in ours {
			printf "%-12s %-18s ours %9.3f ms, PyTorch %9.3f ms, ratio %5.2f;" \
				" cpu %9.3f ms, %9.3f ms, ratio %5.2f\n", $1, $2,
				ours[$1, $2], $4, ours[$1, $2] / $4,
				ours_cpu[$1, $2], cpu[$1, $2], ours_cpu[$1, $2] / cpu[$1, $2]
		}' "$sl_work/step" "$sl_work/step_torch"
}

bench_sessions()
{
	sl_run psql_quiet -v events="$events" -f bench/sessions.sql
}

bench_predict()
{
	sl_run psql_quiet -f bench/predict.sql
}

bench_training()
{
	torch_installed "" || return 0
	sl_make build/listening || return
	sl_run training
}

training()
{
	cd "$sl_src" || return
	PGDATABASE=bench PATH=$sl_bin:$PATH sl_as "$python" bench/parity_training.py "${training[@]}"
}

main()
{
	local name status=0
	for name in "${select[@]}"; do
		[ "$(type -t "bench_$name")" = function ] || sl_die "there is no measurement \"$name\""
	done
	sl_packages build
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
	describe_machine
	for name in "${select[@]}"; do
		sl_say "$name"
		"bench_$name" || status=1
	done
	return $status
}

main
exit
