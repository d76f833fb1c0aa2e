# The loaders of doc/examples: last.fm-1K with every quirk of its files, and 30Music.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $examples = "$top/doc/examples";
my $node = PostgreSQL::Test::Cluster->new('main');

$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "timezone = 'America/New_York'\ndatestyle = 'SQL, DMY'");
$node->start;

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', "SET timezone = 'UTC'; SET datestyle = 'ISO'; $sql");
}

sub loader
{
	my ($name, $folder) = @_;

	return [ 'psql', '-X', '-q', '-v', "folder=$folder", '-f', "$examples/$name", 'postgres' ];
}

sub counts
{
	return query('SELECT (SELECT count(*) FROM plays), (SELECT count(*) FROM users),'
		  . ' (SELECT count(*) FROM rejects)');
}

# ---- last.fm-1K ----

my $sample = "$top/test/data/lastfm_sample";

$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load the last.fm-1K sample');
is(counts(), '18|5|15', 'every good line is there once, every bad one is reported');

is(query(q{SELECT artist_name, track_name FROM plays
			WHERE user_id = 'user_000001' ORDER BY ts DESC}),
	join("\n",
		'Plain Singers|First Song',
		'The "Quoted" Band|Say "hello',
		'Back\\slash|\\N',
		'No Id|No Track Id',
		'Tab in Artist|Whole Track',
		'Whole Artist|Tab in Track',
		'Two  Tabs|Beside an Id',
		'Tab Without|Any Id',
		'Carriage Return|Within',
		'Windows|Line End',
		"Bj\xc3\xb6rk-\xc3\xa4hnlich|\xc3\x81g\xc3\xa6tis \xf0\x9f\x8e\xb5 \xe6\x97\xa5\xe6\x9c\xac",
		"Latin \xc3\xa4\xc3\xb6\xc3\xbc|One caf\xc3\xa9",
		"Cut off \xc3\xa6\xc2\x97|UTF-8 sequence",
		'Control|Characters',
		'|Nameless Artist',
		'Spaces|Around'),
	'names');
is(query(q{SELECT ts, artist_name, track_name FROM plays
			WHERE user_id <> 'user_000001' ORDER BY ts}),
	"2008-02-29 00:00:00+00|Leap|Day\n"
	  . q{2008-03-01 10:15:00+00|Bobby'); DROP TABLE plays; --|$1 %s {} $$},
	'times, and a last line without an end');
is(query('SELECT count(*), count(DISTINCT ts), min(ts), max(ts), count(duration) FROM plays'),
	'18|18|2008-02-29 00:00:00+00|2009-05-04 23:08:57+00|0', 'times are UTC, durations unknown');
is(query(q{SELECT artist_name IS NULL FROM plays WHERE track_name = 'Nameless Artist'}),
	't', 'a missing name is NULL');

is(query('SELECT * FROM users ORDER BY user_id'),
	join("\n",
		'user_000001|m||Japan|2006-08-13',
		"user_000002|f|23|Cote D'Ivoire|2006-02-04",
		'user_000003||||',
		'user_000004|||Peru|',
		"user_000007|m|103|T\xc3\xbcrkiye|2005-10-31"),
	'profiles');

is(query('SELECT line, reason FROM rejects ORDER BY file, line, reason'),
	join("\n",
		'5|not a date',
		'5|not a gender',
		'5|not an age',
		'6|not five fields',
		'7|no user',
		'18|fewer than six fields',
		'19|fewer than six fields',
		'21|not a time',
		'22|not a time',
		'23|not a time',
		'24|not a time',
		'25|no user',
		'26|fewer than six fields',
		'27|fewer than six fields',
		'28|a tab too many'),
	'rejected lines and why');
is(query(q{SELECT content FROM rejects WHERE line = 18}), '\\.', 'a rejected line is kept');

$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load it again');
is(counts(), '18|5|15', 'loading again adds nothing');

# A play that was lost comes back, and only it.
query(q{DELETE FROM plays WHERE track_name IN ('Nameless Artist', 'Around')});
$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load what is missing');
is(counts(), '18|5|15', 'what was missing is there, also without an artist');

# Errors leave nothing behind.
my $empty = PostgreSQL::Test::Utils::tempdir;

$node->command_fails(loader('load_lastfm_1k.sql', $empty), 'a folder without the files');
$node->command_fails(loader('load_lastfm_1k.sql', "$empty/none"), 'no folder');
$node->command_fails([ 'psql', '-X', '-q', '-f', "$examples/load_lastfm_1k.sql", 'postgres' ],
	'no folder given');
is(counts(), '18|5|15', 'a failed load changes nothing');
$node->safe_psql('postgres',
	q{CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'});
$node->command_fails_like(
	[
		'psql', '-X', '-q', '-v', "folder=$sample",
		'-f', "$examples/load_lastfm_1k.sql", 'ascii'
	],
	qr/must have encoding UTF8/,
	'a database that can not hold the names');

# A folder with a space in its name, reached from elsewhere.
mkdir "$empty/a folder";
append_to_file("$empty/a folder/30music-sample.0.txt",
	"UserId\tSessionId\tItemId\tTime\tArtistId\n"
	  . "7\t1\t100\t1397982525\t9\n" x 2
	  . "7\t1\t101\t1397983236\t\n7\t1\t102\tnever\t9\n7\t1\t103\n\t1\t104\t1397983237\t9\n");
append_to_file("$empty/a folder/30music-sample.1.txt",
	"UserId\tSessionId\tItemId\tTime\tArtistId\n"
	  . "7\t2\t100\t1397982525\t9\n8\t3\t100\t1403292525\t9\r\n");
query('DROP TABLE plays, users, rejects');
for my $time ('', ' again')
{
	$node->command_ok(loader('load_30music.sql', "$empty/a folder"), "load 30Music lines$time");
	is(query('SELECT * FROM plays ORDER BY user_id, ts'),
		"7|2014-04-20 08:28:45+00|9|100|\n7|2014-04-20 08:40:36+00||101|\n"
		  . '8|2014-06-20 19:28:45+00|9|100|',
		"each play once$time");
	is(query('SELECT file, line, reason FROM rejects ORDER BY line'),
		"30music-sample.0.txt|5|not a time\n30music-sample.0.txt|6|not five fields\n"
		  . '30music-sample.0.txt|7|no user',
		"rejected lines$time");
}

# ---- the 30Music slices, where they are at hand ----

SKIP:
{
	my $music = ($ENV{SHARED_DATA} || "$top/../shared/data") . '/30music';

	skip 'no folder 30music in SHARED_DATA', 5 unless -d $music;
	query('DROP TABLE plays, users, rejects');
	$node->safe_psql('postgres', 'CREATE EXTENSION sessionlen');
	$node->command_ok(loader('load_30music.sql', $music), 'load the 30Music slices');

	# What the files hold, counted without the loader.
	my (%plays, %users);
	for my $file (glob("\"$music\"/30music*.txt"))
	{
		for my $line (split /\n/, slurp_file($file))
		{
			my ($user, undef, $item, $time, $artist) = split /\t/, $line;
			next if $user eq 'UserId';
			$plays{"$user $item $time $artist"} = 1;
			$users{$user} = 1;
		}
	}
	is(counts(), join('|', scalar keys %plays, scalar keys %users, 0), 'every play and user once');
	$node->command_ok(loader('load_30music.sql', $music), 'load them again');
	is(counts(), join('|', scalar keys %plays, scalar keys %users, 0), 'nothing was added');

	# sessions() against plain SQL on real data.
	is(query(q{
		WITH marked AS (
			SELECT user_id, ts, coalesce(ts - lag(ts) OVER w > '30 min', true) AS new
			  FROM plays WINDOW w AS (PARTITION BY user_id ORDER BY ts)),
		numbered AS (
			SELECT user_id, ts, count(*) FILTER (WHERE new)
								  OVER (PARTITION BY user_id ORDER BY ts) AS session_number
			  FROM marked),
		plain AS (
			SELECT user_id, session_number, min(ts) AS session_start, max(ts) AS session_end,
				   count(*) AS event_count
			  FROM numbered GROUP BY user_id, session_number)
		SELECT count(*) > 2000, count(s.user_id) = count(*), count(p.user_id) = count(*)
		  FROM plain p
		  FULL JOIN (SELECT user_id, (unnest(sessionlen.sessions(ts))).*
					   FROM plays GROUP BY user_id) s
			ON (s.user_id, s.session_number, s.session_start, s.session_end, s.event_count)
			 = (p.user_id, p.session_number, p.session_start, p.session_end, p.event_count)}),
		't|t|t', 'sessions() on 30Music equals plain SQL');
}

$node->stop;
done_testing();
