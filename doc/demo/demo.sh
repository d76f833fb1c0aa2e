#!/bin/bash
# demo.sh: a private server with the extension, made-up data and demo.sql (how long
# sessions last) or skips.sql (what is skipped, what comes next).  Run by "make demo",
# "make demo-skips" and "make demo-stop".
#
# DATA=FOLDER   the original files of last.fm-1K or of the skip prediction challenge
#               instead of made-up data
#
# The server stays up until "make demo-stop"; starting the demo again makes it anew.

. "$(dirname "${BASH_SOURCE[0]}")/../../test/lib.sh"

dir=/var/tmp/sessionlen-demo
SL_PORT=5432

# Only a directory of ours is ever stopped and removed.
remove()
{
	[ -e "$dir" ] || [ -L "$dir" ] || return 0
	[ ! -L "$dir" ] && [ -f "$dir/.sessionlen-demo" ] &&
		{ [ "$(id -u)" = 0 ] || [ -O "$dir" ]; } ||
		sl_die "$dir exists and was not made by this user's demo: move it away first"
	sl_stop_servers "$dir"
	rm -rf "$dir"
}

clean_up()
{
	trap '' INT TERM HUP
	sl_end_child
	cd /
	[ -n "${finished:-}" ] || remove
}

# load ORIGINAL INVENTED [OPTION ...]: the loaders of the files in DATA and of made-up ones,
# and options of the latter.
load()
{
	local original=$1 invented=$2
	shift 2
	cd "$sl_src" || return
	if [ -n "$data" ]; then
		sl_say "loading the files of $data"
		query -v folder="$data" -f "doc/examples/load_$original.sql"
	else
		sl_say "making up data and loading it"
		sl_as make -s "build/$invented" && query "$@" -f "doc/examples/load_$invented.sql"
	fi
}

script()
{
	sl_say "doc/demo/$1.sql"
	cd "$sl_src" && query <"doc/demo/$1.sql"
}

# Pages about the models, for a browser; the references are the study's table of scores.
listening_pages()
{
	query -At -o "$dir/listening.html" -c "SELECT sessionlen.report('listening')" &&
		query -At -o "$dir/clusters.html" -c "SELECT sessionlen.report('kmeans_standardized')" &&
		query -At -o "$dir/models.html" -c "SELECT sessionlen.report(
			(SELECT array_agg(model ORDER BY model) FROM sessionlen.models), reference =>
			(SELECT jsonb_object_agg(run, jsonb_strip_nulls(jsonb_build_object('score', study,
				'measured', ours_by_its_measure, 'note', note))) FROM study_beside_ours))"
}

skips_pages()
{
	query -At -o "$dir/skips.html" -c "SELECT sessionlen.report('lstm')" &&
		query -At -o "$dir/next.html" -c "SELECT sessionlen.report('next')"
}

query()
{
	"$sl_bin/psql" -X -q -v ON_ERROR_STOP=1 -d demo "$@"
}

if [ "${1:-}" = demo-stop ]; then
	remove
	exit
fi

data=
if [ -n "${DATA:-}" ]; then
	data=$(cd "$sl_top" && cd "$DATA" && pwd) || sl_die "DATA=$DATA is no folder"
fi
# To the build's own make it would be the list of files to install.
unset DATA MAKEFLAGS MAKEOVERRIDES MFLAGS

sl_packages build
remove
mkdir -m 755 "$dir" && touch "$dir/.sessionlen-demo" || sl_die "$dir could not be made"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
sl_workdir "$dir"
sl_private_tree
sl_copy_sources
sl_build
sl_server_start "$dir/data"
"$sl_bin/createdb" demo || sl_die "the database could not be made"
query -c 'CREATE EXTENSION sessionlen' || sl_die "the extension could not be created"
case $1 in
demo)
	pages='models listening clusters'
	sl_run load lastfm_1k listening || sl_die "the data could not be loaded"
	sl_run script demo || sl_die "demo.sql failed"
	sl_run listening_pages || sl_die "the reports could not be written"
	;;
demo-skips)
	pages='skips next'
	sl_run load spotify skips -v options='--sessions 30000' ||
		sl_die "the data could not be loaded"
	sl_run script skips || sl_die "skips.sql failed"
	sl_run skips_pages || sl_die "the reports could not be written"
	;;
esac
finished=1

as=
[ "$(id -u)" != 0 ] || as=' (as root)'
cat <<END

The server is up. Connect$as with

    $sl_bin/psql -h $sl_sock -U postgres demo

look at the models in a browser:

$(for page in $pages; do echo "    $dir/$page.html"; done)

and stop and remove it all with

    make demo-stop
END
