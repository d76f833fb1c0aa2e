#!/bin/bash
# matrix.sh: the project in throw-away Debian roots.  Needs root and the network.
#
#   make check-matrix    builds with gcc and clang, with warnings as errors, and runs
#                        the tests, on every PostgreSQL that Debian has
#   make check-clean     runs "make check" and "make demo" from a fresh clone in a
#                        Debian without PostgreSQL, then "make check" without network
#
# SUITES    "VERSION:SUITE[:MIRROR] ..." instead of the list below; a version that is
#           in no suite any more (16) can be had from a snapshot mirror
# MIRROR    where packages come from; default: where this machine's come from
# TESTS     as for "make check"

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$sl_top/test/root.sh"

suites=${SUITES:-"15:bookworm 17:trixie 18:sid"}
clean_suite=${SUITE:-bookworm}
# The checkout in a root.  Root's home is closed to user postgres, so nothing passes here
# that reads the sources where they are instead of the copy made for that user.
checkout=/root/sessionlen

if [ "$(id -u)" != 0 ]; then
	exec sudo --preserve-env=SUITES,SUITE,MIRROR,TESTS,KEEP "$0" "$@"
fi

# compile DIR VERSION CC: in a copy of the sources.  The flags PostgreSQL was built with
# are gcc's, and clang doesn't know all of them.
compile()
{
	in_root "$1" /bin/sh -c '
		rm -rf /tmp/build && cp -r "$3" /tmp/build && cd /tmp/build &&
		make -s CC="$2" PG_CONFIG=/usr/lib/postgresql/$1/bin/pg_config \
			COPT="-Werror $(test "$2" = gcc || echo -Wno-unknown-warning-option \
				-Wno-ignored-optimization-argument)"' \
		sh "$2" "$3" "$checkout" >"$work/log" 2>&1 && ! grep -q 'warning:' "$work/log" && return
	tail -n 60 "$work/log"
	return 1
}

one_server()
{
	local version=$1 suite=$2 mirror=$3 dir=$work/root line="$1 ($2):" bad=0 count
	local pg=postgresql-$version
	make_root "$dir" "$suite" "$mirror" \
		"$pg,postgresql-server-dev-$version,$pg-cron,libopenblas0-pthread,gcc,clang,libc6-dev,make,perl,libipc-run-perl" || {
		summary+=("$line no root could be made")
		return 1
	}
	copy_sources "$dir"
	for cc in gcc clang; do
		if compile "$dir" "$version" $cc; then
			line+=" $cc ok,"
		else
			line+=" $cc FAILED,"
			bad=1
		fi
	done
	in_root "$dir" make -s -C "$checkout" check 2>&1 | tee "$work/log"
	[ "${PIPESTATUS[0]}" = 0 ] || bad=1
	count=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/log" | tail -n 1)
	summary+=("$line ${count:-the tests did not run}")
	rm -rf "$dir"
	return $bad
}

copy_sources()
{
	mkdir "$1$checkout"
	(cd "$sl_top" && sl_files | tar -c --no-recursion --null -T -) |
		tar -x -C "$1$checkout" --no-same-owner
}

check_matrix()
{
	local entry version rest bad=0
	for entry in $suites; do
		version=${entry%%:*}
		rest=${entry#*:}
		one_server "$version" "${rest%%:*}" \
			"$([[ $rest == *:* ]] && echo "${rest#*:}")" || bad=1
	done
	printf '%s\n' "${summary[@]}"
	return $bad
}

# step NAME COMMAND...: one line of the summary.
step()
{
	local name=$1 result=ok count
	shift
	sl_say "$name"
	"$@" 2>&1 | tee "$work/log"
	[ "${PIPESTATUS[0]}" = 0 ] || result=FAILED
	count=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/log" | tail -n 1)
	summary+=("$name: $result${count:+, $count}")
	[ $result = ok ]
}

check_clean()
{
	local dir=$work/root bad=0 in="make -s -C $checkout"
	make_root "$dir" "$clean_suite" '' ca-certificates,git,make || return
	git -c safe.directory='*' clone -q --no-hardlinks "$sl_top" "$dir$checkout" ||
		copy_sources "$dir"
	step ".ci/run" in_root "$dir" "$checkout/.ci/run" || bad=1
	NETWORK=none step "make check without network" in_root "$dir" $in check || bad=1
	step "make demo" in_root "$dir" $in demo demo-stop || bad=1
	step "the checkout is unchanged and nothing is left" in_root "$dir" /bin/sh -c '
		cd "$1" && git status --porcelain --ignored && ls /var/tmp &&
		test -z "$(git status --porcelain --ignored; ls /var/tmp)"' sh "$checkout" || bad=1
	printf '%s\n' "${summary[@]}"
	return $bad
}

main()
{
	summary=()
	need_mmdebstrap
	work=$(mktemp -d /var/tmp/sessionlen-roots.XXXXXX)
	# A root has mounts only inside a namespace, which ends with its command.
	trap 'sl_end_child; rm -rf --one-file-system "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	case ${1:-} in
		check-matrix) check_matrix ;;
		check-clean) check_clean ;;
		*) sl_die "usage: matrix.sh check-matrix|check-clean" ;;
	esac
}

# Read as a whole before it runs, so that the file may change meanwhile.
main "$@"
exit
