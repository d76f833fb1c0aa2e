#!/bin/bash
# check.sh: every test of the project, on a server of its own.  Run by "make check".
#
# TESTS selects some of them, as words:
#   sql, isolation, unit, t      a whole kind
#   NAME                         regression tests, isolation specs or unit tests so called
#   unit/NAME, t/NNN, sql/NAME   the same, within one kind; NAME may be its beginning
# KEEP=1 leaves the work directory behind (without servers).
#
# The last line is "N passed, N failed".  A regression test or an isolation spec counts
# as one; of unit and TAP tests every assertion counts.  Skipped ones are only reported.

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

read -ra select <<<"${TESTS:-}"
unset TESTS
passed=0 failed=0 skipped=0 ran=0
used=() failures=()

# picked KIND NAME: is this one of the tests asked for?
picked()
{
	local w hit=1
	[ ${#select[@]} -gt 0 ] || return 0
	for w in "${select[@]}"; do
		case $w in
			"$1") ;;
			*/*) [[ $1/$2 == "$w"* ]] || continue ;;
			*) [ "$2" = "$w" ] || [ "${2#test_}" = "$w" ] || continue ;;
		esac
		used+=("$w")
		hit=0
	done
	return $hit
}

# list KIND FILE...: the names of the picked ones among the files that exist.
list()
{
	local kind=$1 f name
	shift
	names=()
	for f in "$@"; do
		[ -f "$f" ] || continue
		name=$(basename "$f")
		name=${name%.*}
		picked "$kind" "$name" && names+=("$name")
	done
	[ ${#names[@]} -gt 0 ]
}

# Count the results in a log of pg_regress, which prints TAP since version 16.
count_regress()
{
	local log=$1 asked=$2 ok bad
	ok=$(grep -cE '^ok [0-9]|^test .* \.\.\. ok' "$log")
	bad=$((asked - ok))
	passed=$((passed + ok))
	failed=$((failed + bad))
	ran=$((ran + asked))
	[ "$bad" = 0 ] && return
	mapfile -t -O ${#failures[@]} failures < <(grep -E '^not ok|FAILED' "$log")
	bad=$((bad - $(grep -cE '^not ok|FAILED' "$log")))
	[ "$bad" = 0 ] || failures+=("$bad without a result: $(tail -n 1 "$log")")
	return 1
}

# Count the assertions in a log of "prove -v".  A test program that ends badly without
# a failed assertion is one failure.
count_tap()
{
	local log=$1 status=$2 ok bad skip broken
	skip=$(grep -ciE '^ok .*# skip|\.\. skipped' "$log")
	ok=$(grep -cE '^ok [0-9]' "$log")
	ok=$((ok - $(grep -ciE '^ok .*# skip' "$log")))
	bad=$(grep -E '^not ok' "$log" | grep -cviE '# todo')
	broken=$(grep -cE '\(Wstat: .* Failed: 0\)' "$log")
	[ "$status" = 0 ] || [ $((bad + broken)) -gt 0 ] || broken=1
	passed=$((passed + ok))
	failed=$((failed + bad + broken))
	skipped=$((skipped + skip))
	ran=$((ran + ok + bad + broken + skip))
	echo "   $ok ok, $((bad + broken)) not ok, $skip skipped"
	grep -iE '^ok .*# skip|\.\. skipped' "$log" | sed 's/^/   /'
	[ "$status" != 0 ] || return 0
	grep -vE '^ok ' "$log" | tail -n 150
	mapfile -t -O ${#failures[@]} failures < <(
		grep -E '^not ok|\(Wstat: ' "$log" | sed "s|$sl_work/||")
}

run_sql()
{
	local out=$sl_work/out/sql
	list sql "$sl_src"/test/sql/*.sql || return 0
	sl_say "regression tests (${#names[@]})"
	sl_as mkdir -p "$out"
	sl_run regress "$out" regress/pg_regress test "${names[@]}"
	count_regress "$out/log" ${#names[@]} && return
	show_diffs "$out"
}

run_isolation()
{
	local out=$sl_work/out/isolation
	list isolation "$sl_src"/test/isolation/specs/*.spec || return 0
	sl_say "isolation tests (${#names[@]})"
	sl_as mkdir -p "$out"
	sl_run regress "$out" isolation/pg_isolation_regress test/isolation "${names[@]}"
	count_regress "$out/log" ${#names[@]} && return
	show_diffs "$out"
}

# regress OUT PROGRAM INPUTDIR NAME...
regress()
{
	local out=$1 program=$2 input=$3
	shift 3
	cd "$sl_src" || return
	sl_as "$sl_pgxs/src/test/$program" --bindir="$sl_bin" --inputdir="$input" \
		--outputdir="$out" --host="$sl_sock" --port="$PGPORT" --user=postgres \
		--dbname="regress_$(basename "$out")" "$@" 2>&1 |
		tee "$out/log" | grep -E '^(test |ok |not ok |.*(error|failed|could not))'
}

show_diffs()
{
	[ ! -f "$1/regression.diffs" ] || head -n 400 "$1/regression.diffs"
}

run_unit()
{
	list unit "$sl_src"/test/unit/test_*.c || return 0
	sl_say "unit tests of the core (${#names[@]})"
	sl_run unit "${names[*]}" >"$sl_work/unit.log" 2>&1
	count_tap "$sl_work/unit.log" $?
}

unit()
{
	cd "$sl_src" || return
	sl_as make -s -C test/unit -j"$(nproc)" check TESTS="$1" PROVE_FLAGS=-v
}

run_t()
{
	local n rc
	list t "$sl_src"/test/t/*.pl || return 0
	sl_say "TAP tests (${#names[@]})"
	for n in "${names[@]}"; do
		echo "   t/$n.pl"
		sl_run tap "$n" >"$sl_work/$n.log" 2>&1
		rc=$?
		count_tap "$sl_work/$n.log" $rc
		[ $rc = 0 ] || find "$sl_work/tap/$n" -name 'regress_log_*' -exec tail -n 40 {} \;
	done
}

# The environment is that of the server's own "make installcheck".
tap()
{
	local dir=$sl_work/tap/$1
	sl_as mkdir -p "$dir"
	cd "$sl_src/test" || return
	sl_as env -u PGHOST -u PGUSER PATH="$sl_bin:$PATH" \
		TESTDIR="$dir" TESTDATADIR="$dir/tmp_check" TESTLOGDIR="$dir/log" PGPORT=65432 \
		PG_REGRESS="$sl_pgxs/src/test/regress/pg_regress" \
		prove -v -I "$sl_pgxs/src/test/perl" -I "$sl_src/test/t" "t/$1.pl"
}

# A server process that dies is a failure even where no test noticed.
check_server_log()
{
	grep -qE 'was terminated by signal|PANIC:|TRAP:' "$sl_log" || return 0
	echo "the server crashed:"
	grep -E -B 5 -A 5 'was terminated by signal|PANIC:|TRAP:' "$sl_log" | tail -n 60
	failed=$((failed + 1))
	failures+=("a process of the server crashed")
}

# Every word asked for, and without words every kind, must have run something.
check_selection()
{
	local w
	for w in "${select[@]+"${select[@]}"}"; do
		[[ " ${used[*]-} " == *" $w "* ]] || {
			failures+=("no test is called \"$w\"")
			failed=$((failed + 1))
		}
	done
}

run_kind()
{
	local before=$ran
	"run_$1"
	[ ${#select[@]} -eq 0 ] && [ "$ran" = "$before" ] && [ -d "$sl_src/test/$1" ] || return 0
	failures+=("the tests in test/$1 did not run")
	failed=$((failed + 1))
}

main()
{
	sl_packages check
	sl_workdir "$(mktemp -d /var/tmp/sessionlen-check.XXXXXX)"
	trap sl_clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	sl_private_tree
	sl_copy_sources
	sl_copy_shared_data
	sl_build
	sl_server_start "$sl_work/data_dir"
	local kind
	for kind in sql isolation unit; do
		run_kind $kind
	done
	check_server_log
	run_kind t
	check_selection

	[ "$skipped" = 0 ] || sl_say "$skipped skipped"
	if [ "$failed" != 0 ]; then
		sl_say "failed:"
		printf '   %s\n' "${failures[@]}"
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# Read as a whole before it runs, so that the file may change meanwhile.
main
exit
