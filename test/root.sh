#!/bin/bash
# root.sh: throw-away Debian roots, for other releases of servers and peers than the
# machine's.  Sourced after lib.sh; needs root and, to make one, the network.

need_mmdebstrap()
{
	command -v mmdebstrap >/dev/null && return
	sl_apt_update
	apt-get -q -y --no-install-recommends install mmdebstrap </dev/null ||
		sl_die "mmdebstrap could not be installed"
}

host_mirror()
{
	apt-get indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1
}

# make_root DIR SUITE MIRROR PACKAGE,...: an old mirror's lists may have expired.
make_root()
{
	local mirror=${3:-${MIRROR:-$(host_mirror)}}
	sl_say "making a root of $2 from ${mirror:-the default mirror}"
	mmdebstrap --quiet --mode=root --variant=minbase \
		--aptopt='Acquire::Check-Valid-Until "false"' --include="$4" \
		"$2" "$1" ${mirror:+"deb $mirror $2 main"} </dev/null
}

# in_root DIR COMMAND...: with processes and mounts that end with the command.  The first
# process of the namespace heeds only signals it has a handler for, and all others end
# with it.
# NETWORK=none takes the network away, MOUNT=DIR shows a directory as /mnt.
in_root()
{
	local dir=$1 net=
	shift
	[ "${NETWORK:-}" != none ] || net=--net
	unshare --mount --pid --fork --kill-child $net /bin/sh -c '
		mount -t proc proc "$2/proc" && mount --rbind /dev "$2/dev" &&
		{ [ -z "$1" ] || mount --bind "$1" "$2/mnt"; } &&
		root=$2 && shift 2 || exit
		trap "exit 143" TERM
		chroot "$root" "$@" &
		wait $!' sh "${MOUNT:-}" "$dir" \
		/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=true \
		TESTS="${TESTS:-}" "$@" </dev/null
}
