# lib.sh: what the scripted targets of the Makefile share.  Sourced, not run.
#
# Nothing on the machine is changed except for missing packages, which apt installs.
# PostgreSQL finds its files relative to its own program, so a copy of its two trees
# is a complete installation of its own: the extension is installed into such a copy,
# and the system's installation and running servers are left alone.
#
# PostgreSQL refuses to run as root.  Root therefore builds and tests as user
# postgres, in a directory made for it; anybody else works under their own name and
# needs sudo only when a package is missing.

set -uo pipefail

sl_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
sl_libpg=/usr/lib/postgresql
sl_versions=${PGVERSION:-15 16 17 18 19}
sl_child=

# The caller's connection settings and make's own variables are not ours.
for v in ${!PG@} ${!MAKE@} MFLAGS CDPATH; do
	[[ $v == PG_TEST_* ]] || unset "$v"
done
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin

sl_say()
{
	printf '%s\n' "== $*"
}

sl_die()
{
	printf '%s\n' "error: $*" >&2
	exit 1
}

# Run as root, for apt only.
sl_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		sl_die "\"$*\" needs root: run it yourself, or install sudo"
	fi
}

# Run as the user who may own a server.
sl_as()
{
	if [ "$(id -u)" = 0 ]; then
		HOME=$sl_work setpriv --reuid=postgres --regid=postgres --init-groups "$@"
	else
		"$@"
	fi
}

# Run a command in a process group of its own, so that a signal to this script ends
# the wait at once and sl_end_child can end the command with all its children.
sl_run()
{
	local rc
	set -m
	"$@" </dev/null &
	sl_child=$!
	set +m
	wait $sl_child
	rc=$?
	sl_child=
	return $rc
}

sl_end_child()
{
	[ -n "$sl_child" ] || return 0
	kill -TERM -- -"$sl_child" 2>/dev/null
	wait "$sl_child" 2>/dev/null
	sl_child=
}

# What a run leaves: nothing, or with KEEP its work directory without servers.
sl_clean_up()
{
	trap '' INT TERM HUP
	sl_end_child
	sl_stop_servers "$sl_work"
	cd /
	if [ -n "${KEEP:-}" ]; then
		sl_say "left in $sl_work"
	else
		rm -rf "$sl_work"
	fi
}

# ---- packages -------------------------------------------------------------------

sl_server_installed()
{
	[ -x "$sl_libpg/$1/bin/postgres" ] &&
		[ -f "$sl_libpg/$1/lib/pgxs/src/makefiles/pgxs.mk" ] &&
		[ -f "/usr/include/postgresql/$1/server/postgres.h" ]
}

sl_apt_has()
{
	[[ $(apt-cache policy "$1" 2>/dev/null) == *'Candidate: '[!\(]* ]]
}

sl_apt_update()
{
	[ -z "${sl_apt_updated:-}" ] || return 0
	command -v apt-get >/dev/null ||
		sl_die "packages are missing and this machine has no apt-get: see README.md, \"Install\""
	sl_say "apt-get update"
	sl_root apt-get -q update </dev/null || sl_die "apt-get update failed"
	sl_apt_updated=1
}

# The oldest installed server of 15 or later that has its development files, or else
# the oldest one this release of Debian offers.
sl_choose_version()
{
	local v
	for v in $sl_versions; do
		sl_server_installed "$v" && sl_version=$v && return
	done
	sl_apt_update
	for v in $sl_versions; do
		sl_apt_has "postgresql-server-dev-$v" && sl_version=$v && return
	done
	sl_die "no PostgreSQL of version ${sl_versions// /, } is installed or offered by apt"
}

# sl_packages build|check: install what is missing, say what is there.
sl_packages()
{
	local missing=() v log
	sl_choose_version
	v=$sl_version

	sl_server_installed "$v" || missing+=("postgresql-$v" "postgresql-server-dev-$v")
	command -v gcc >/dev/null || missing+=(gcc libc6-dev)
	command -v make >/dev/null || missing+=(make)
	ls /usr/lib/*/libopenblas.so.0 >/dev/null 2>&1 || missing+=(libopenblas0-pthread)
	if [ "$1" = check ]; then
		perl -MTest::More -e 1 2>/dev/null || missing+=(perl)
		perl -MIPC::Run -e 1 2>/dev/null || missing+=(libipc-run-perl)
		[ -n "$(ls /usr/include/{,*/}curl/curl.h 2>/dev/null)" ] || missing+=(libcurl4-openssl-dev)
		if [ ! -f "$sl_libpg/$v/lib/pg_cron.so" ]; then
			if sl_apt_has "postgresql-$v-cron"; then
				missing+=("postgresql-$v-cron")
			else
				sl_say "this release has no postgresql-$v-cron: its test will be skipped"
			fi
		fi
		# the report's pages are looked at with a browser; 700 MB are for CI alone
		[ -z "${CI:-}" ] || command -v chromium chromium-browser google-chrome >/dev/null ||
			missing+=(chromium)
	fi

	if [ ${#missing[@]} -gt 0 ]; then
		sl_apt_update
		sl_say "installing ${missing[*]}"
		log=$(sl_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
			-o DPkg::Lock::Timeout=600 --no-install-recommends \
			install "${missing[@]}" </dev/null 2>&1) || sl_die "apt-get install failed: $log"
	fi
	sl_server_installed "$v" || sl_die "postgresql-$v is installed but not complete"
	sl_say "using:" "$("$sl_libpg/$v/bin/postgres" --version)," \
		"gcc $(gcc -dumpfullversion)," "$(make --version | head -n 1)," \
		"$(basename "$(readlink -f /usr/lib/*/libopenblas.so.0 | head -n 1)")"
}

# ---- the work directory -----------------------------------------------------------

# sl_workdir DIR: everything that follows happens in this existing directory.
sl_workdir()
{
	sl_work=$1
	sl_bin=$sl_work/pg/lib/postgresql/$sl_version/bin
	sl_pgxs=$sl_work/pg/lib/postgresql/$sl_version/lib/pgxs
	sl_src=$sl_work/src
	sl_sock=$sl_work/sock
	sl_log=$sl_work/server.log
	chmod 755 "$sl_work"
	mkdir -p "$sl_sock" "$sl_src"
	[ "$(id -u)" != 0 ] || chown postgres: "$sl_work" "$sl_sock" "$sl_src"
}

sl_private_tree()
{
	local v=$sl_version
	mkdir -p "$sl_work/pg/lib/postgresql" "$sl_work/pg/share/postgresql" "$sl_work/pg/include"
	cp -a "$sl_libpg/$v" "$sl_work/pg/lib/postgresql/$v" &&
		cp -a "/usr/share/postgresql/$v" "$sl_work/pg/share/postgresql/$v" &&
		ln -s /usr/include/postgresql "$sl_work/pg/include/postgresql" ||
		sl_die "no private copy of PostgreSQL $v could be made in $sl_work"
	[ "$(id -u)" != 0 ] || chown -R postgres: "$sl_work/pg"
}

# The files a commit of the checkout as it is now would hold, and no build products.
sl_files()
{
	cd "$sl_top" || return
	if git -c safe.directory='*' ls-files --error-unmatch Makefile >/dev/null 2>&1; then
		git -c safe.directory='*' ls-files -z -co --exclude-standard |
			while IFS= read -r -d '' f; do
				[ ! -e "$f" ] && [ ! -L "$f" ] || printf '%s\0' "$f"
			done
	else
		find . \( -name .git -o -path ./build -o -path ./results -o -name tmp_check \) \
			-prune -o \( -type f -o -type l \) ! -name '*.o' ! -name '*.so' \
			! -name '*.bc' ! -name 'sessionlen--*--*' ! -name 'sessionlen--1.0.sql' -print0
	fi
}

sl_copy_sources()
{
	(cd "$sl_top" && sl_files | tar -c --no-recursion --null -T -) |
		tar -x -C "$sl_src" --no-same-owner || sl_die "the sources could not be copied"
	[ "$(id -u)" != 0 ] || chown -R postgres: "$sl_src"
}

# Data that is not part of the repository, for the tests that can use it.
sl_copy_shared_data()
{
	local from=${SHARED_DATA:-$sl_top/../shared/data} kb
	unset SHARED_DATA
	[ -d "$from" ] || return 0
	from=$(cd "$from" && pwd) || return 0
	if ! sl_as test -r "$from" || ! sl_as ls "$from" >/dev/null 2>&1; then
		kb=$(du -sk "$from" | cut -f 1)
		if [ "$kb" -gt 500000 ]; then
			sl_say "$from can't be read by user postgres and is too large to copy: not used"
			return 0
		fi
		cp -r "$from" "$sl_work/data" && chown -R postgres: "$sl_work/data"
		from=$sl_work/data
	fi
	export SHARED_DATA=$from
}

# sl_make TARGET...: as the server's user, against the private tree.
sl_make()
{
	cd "$sl_src" || return
	sl_as make -s -j"$(nproc)" PG_CONFIG="$sl_bin/pg_config" COPT=-Werror "$@"
}

sl_build()
{
	sl_say "building in $sl_src"
	sl_run sl_make all >"$sl_work/build.log" 2>&1 && ! grep -q 'warning:' "$sl_work/build.log" || {
		cat "$sl_work/build.log"
		sl_die "the build failed or gave a warning"
	}
	sl_run sl_make install >"$sl_work/install.log" 2>&1 || {
		cat "$sl_work/install.log"
		sl_die "the installation failed"
	}
}

# ---- the server -------------------------------------------------------------------

# sl_server_start DATADIR [SETTING...]: nothing is kept over a crash, and there is no
# way in but a unix socket that only its owner and root can open, because who connects
# is trusted to be the superuser.
sl_server_start()
{
	local data=$1
	shift
	export PGHOST=$sl_sock PGPORT=${SL_PORT:-54399} PGUSER=postgres
	cd "$sl_work" || return
	sl_run sl_as "$sl_bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
		--no-sync >"$sl_work/initdb.log" 2>&1 || {
		cat "$sl_work/initdb.log"
		sl_die "initdb failed"
	}
	sl_as tee -a "$data/postgresql.conf" >/dev/null <<-END
		listen_addresses = ''
		unix_socket_directories = '$sl_sock'
		unix_socket_permissions = 0700
		port = $PGPORT
		fsync = off
		synchronous_commit = off
		full_page_writes = off
		$(printf '%s\n' "$@")
	END
	sl_run sl_as "$sl_bin/pg_ctl" -D "$data" -s -w -t 60 -l "$sl_log" start || {
		tail -n 30 "$sl_log"
		sl_die "the server did not start"
	}
}

# Stop every server whose data directory lies below DIR, also those that tests left.
sl_stop_servers()
{
	local f pid
	[ -d "$1" ] || return 0
	find "$1" -name postmaster.pid 2>/dev/null | while IFS= read -r f; do
		pid=$(head -n 1 "$f")
		[ "$(readlink "/proc/$pid/cwd")" = "$(realpath "$(dirname "$f")")" ] || continue
		kill -QUIT "$pid" 2>/dev/null
		for _ in $(seq 100); do
			[ -d "/proc/$pid" ] || break
			sleep 0.05
		done
	done
}
