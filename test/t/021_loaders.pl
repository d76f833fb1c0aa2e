# The loaders of doc/examples: last.fm-1K and the skip prediction challenge with every
# quirk of their files, and 30Music.

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

my $sample = PostgreSQL::Test::Utils::tempdir;
my $log = 'userid-timestamp-artid-artname-traid-traname.tsv';

# The sample, and names no index could hold.
append_to_file("$sample/$_", slurp_file("$top/test/data/lastfm_sample/$_"))
  for 'userid-profile.tsv', $log;
append_to_file("$sample/$log",
	join('', map { "\n$_\t2008-03-01T10:20:00Z\t\t" . join('', map { chr(33 + rand 90) } 1 .. 9000) . "\t\tx" }
		  'user_000002', 'x' x 9000));

$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load the last.fm-1K sample');
is(counts(), '18|5|18', 'every good line is there once, every bad one is reported');

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
		'9|another profile of this user',
		'18|fewer than six fields',
		'19|fewer than six fields',
		'21|not a time',
		'22|not a time',
		'23|not a time',
		'24|not a time',
		'25|no user',
		'26|fewer than six fields',
		'27|fewer than six fields',
		'28|a tab too many',
		'30|too long',
		'31|too long'),
	'rejected lines and why');
is(query(q{SELECT content FROM rejects WHERE line = 18}), '\\.', 'a rejected line is kept');

$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load it again');
is(counts(), '18|5|18', 'loading again adds nothing');

# A play that was lost comes back, and only it.
query(q{DELETE FROM plays WHERE track_name IN ('Nameless Artist', 'Around')});
$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load what is missing');
is(counts(), '18|5|18', 'what was missing is there, also without an artist');

# A user known from plays alone gets the profile when it comes.
query(q{UPDATE users SET gender = NULL, age = NULL, country = NULL, registered = NULL WHERE user_id = 'user_000002'});
$node->command_ok(loader('load_lastfm_1k.sql', $sample), 'load profiles of users without one');
is(query(q{SELECT * FROM users WHERE user_id = 'user_000002'}),
	"user_000002|f|23|Cote D'Ivoire|2006-02-04", 'a profile that was missing is there');
is(counts(), '18|5|18', 'and nothing else is new');

# Errors leave nothing behind.
my $empty = PostgreSQL::Test::Utils::tempdir;

$node->command_fails(loader('load_lastfm_1k.sql', $empty), 'a folder without the files');
$node->command_fails(loader('load_lastfm_1k.sql', "$empty/none"), 'no folder');
$node->command_fails([ 'psql', '-X', '-q', '-f', "$examples/load_lastfm_1k.sql", 'postgres' ],
	'no folder given');
is(counts(), '18|5|18', 'a failed load changes nothing');
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
	  . "7\t1\t101\t1397983236\t\n7\t1\t102\tnever\t9\n7\t1\t103\n\t1\t104\t1397983237\t9\n"
	  . 'x' x 9000 . "\t1\t104\t1397983237\t9\n");
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
		  . "30music-sample.0.txt|7|no user\n30music-sample.0.txt|8|too long",
		"rejected lines$time");
}

# ---- 30Music, the archive ----

my $archive = "$empty/30 music";

sub write_lines
{
	my ($file, @lines) = @_;

	append_to_file("$archive/$file.idomaar", join('', map { "$_\n" } @lines));
}

sub event
{
	my ($number, $time, $user, $track) = @_;

	return qq(event.play\t$number\t$time\t{"playtime":176}\t{"subjects":[{"type":"user","id":$user}],)
	  . qq("objects":[{"type":"track","id":$track}]});
}

mkdir "$archive$_" for '', '/relations', '/entities';
write_lines(
	'entities/persons',
	qq(person\t53\t-1\t{"MBID":null,"name":"009+Sound+System"}\t{}),
	qq(person\t54\t-1\t{"MBID":"x","name":"Bj%F6rk+%26+%+%e9"}\t{}),
	qq(person\t53\t-1\t{"MBID":null,"name":"Another"}\t{}),
	qq(person\t55\t-1\t{"MBID":null,"name":"cut),
	qq(person\t56\t-1\t{"name":") . 'x' x 1000 . '"}',
	qq(track\t57\t-1\t{}),
	'person',
	qq(person\t-1\t-1\t{"name":"x"}),
	qq(person\t58\t-1\t{"name":""}));
write_lines('entities/tags', map { qq(tag\t$_->[0]\t-1\t{"value":"$_->[1]","url":"u"}\t{}) }
	  [ 1, 'Electronic' ], [ 2, 'hard+rock' ], [ 3, 'r%26b' ]);
write_lines(
	'entities/tracks',
	qq(track\t0\t-1\t{"duration":274000,"playcount":917,"MBID":"0f48","name":"009+Sound+System/_/Number+%22Two%22"})
	  . qq(\t{"artists":[{"type":"person","id":53}],"albums":[{"type":"album","id":2}],)
	  . qq("tags":[{"type":"tag","id":2},{"type":"tag","id":1},{"type":"tag","id":9},{"type":"tag","id":2}]}),
	qq(track\t1\t-1\t{"duration":-1,"playcount":4,"MBID":null,"name":"Old+Spelling/_/100%25+%E6%97%A5\\t%00%0A"})
	  . qq(\t{"artists":[{"type":"person","id":54}],"albums":null,"tags":null}),
	qq(track\t2\t-1\t{"duration":0,"playcount":4,"MBID":null,"name":"Nobody+Knows/_/Trip%2fHop"})
	  . qq(\t{"artists":[{"type":"person","id":99}],"albums":[],"tags":[{"type":"tag","id":3}]}),
	qq(track\t3\t-1\t{"duration":null,"name":"Title+alone"}\t{"artists":[],"albums":[],"tags":[]}),
	qq(track\t4\t-1\t{"duration":1000,"name":"Raw \xc3\xa9 \xe9 \\u00e9"}\t{"artists":[{"type":"person","id":56}]}),
	qq(track\t5\t-1\t{"duration":1000,"name":"unescaped "quote""}\t{"artists":[]}),
	qq(track\t6\t-1\t{"duration":1000,"name":"no links"}),
	qq(track\t0\t-1\t{"duration":1,"name":"x/_/again"}\t{"artists":[]}),
	qq(track\t7\t-1\t{"duration":"1500","name":"009+sound+system/_/number+%22two%22"}\t{"artists":[{"type":"person","id":53}],"tags":[]}),
	qq(track\t8\t-1\t{"duration":1000,"name":"x/_/) . 'y' x 901 . qq("}\t{"artists":[]}));
write_lines(
	'entities/users',
	qq(user\t1\t1171583340\t{"lastfm_username":"a","gender":"m","age":24,"country":"US","playcount":221012,"playlists":2,"subscribertype":"base"}),
	qq(user\t2\t1171583340\t{"gender":"F","age":null,"country":" PE ","playcount":1}),
	qq(user\t3\t-1\t{"gender":"n","age":-1,"country":""}),
	qq(user\t4\t\t{"gender":"x","age":"old","country":null}),
	qq(user\t5\tnever\t{"gender":"","age":0}),
	qq(user\t1\t1171583340\t{"gender":"f"}),
	qq(user\t6\t1\t[]));
write_lines(
	'relations/events',
	event(0, 1390231051, 1, 0), event(1, 1390231351, 1, 1), event(2, 1390231351, 1, 1), event(3, 1390231651, 1, 2),
	event(4, 1390231951, 1, 3), event(5, 1390232251, 1, 4), event(6, 1390232551, 1, 5), event(7, 1390232851, 1, 77),
	event(8, 1390231051, 2, 7) . "\r",
	event(9, 1390231351, 45170, 8) =~ s/\}\t\{/} {/r,
	event(10, -1, 1, 0), event(11, '', 1, 0), event(12, 1390231051, '"x"', 0), event(13, 1390231051, 1, 'null'),
	'event.play', '', '\\.', event(14, 1390231051, 1, 0) =~ s/event\.play/event.skip/r,
	event(15, 1390231051, 1, 0) =~ s/\]\}$//r, event(16, 1390231051, 1, 0) =~ s/"user"/"track"/r,
	event(17, 1390231051, 1, 0) . "\tmore", event(18, 1390231051, 1, 0) . ' ' x 2000 . 'x',
	'{"subjects":[]}', event(19, 1390231051, 1, 0) =~ s/\{"subj.*/{}/r);
query('DROP TABLE plays, users, rejects');
for my $time ('', ' again')
{
	$node->command_ok(loader('load_30music.sql', $archive), "load the archive of 30Music$time");
	is( query('SELECT user_id, extract(epoch FROM ts)::int, artist_name, track_name, duration FROM plays ORDER BY user_id, ts'),
		join("\n",
			'1|1390231051|009 Sound System|Number "Two"|274',
			"1|1390231351|Bj\xc3\xb6rk & % \xc3\xa9|100% \xe6\x97\xa5|",
			'1|1390231651|Nobody Knows|Trip/Hop|',
			'1|1390231951||Title alone|',
			"1|1390232251||Raw \xc3\x83\xc2\xa9 \xc3\xa9 \xc3\xa9|1",
			'1|1390232551||5|',
			'1|1390232851||77|',
			'2|1390231051|009 Sound System|number "two"|1.5',
			'45170|1390231351||8|'),
		"each play once, with names and durations$time");
	is(query('SELECT * FROM users ORDER BY user_id'),
		join("\n",
			'1|m|24|US|2007-02-15', '2|f||PE|2007-02-15', '3||||', '4||||', '45170||||', '5||||'),
		"users$time");
	is(query(q{SELECT artist_name, track_name, duration, genres, status FROM track_metadata ORDER BY 1, 2}),
		join("\n",
			'009 sound system|number "two"|274|{"hard rock",electronic}|found',
			'nobody knows|trip/hop||{r&b}|found'),
		"durations and tags$time");
	is(query('SELECT file, line, reason FROM rejects ORDER BY file, line, reason'),
		join("\n",
			(map { "entities/persons.idomaar|$_" } '3|another line of this number', '4|malformed JSON',
				'5|too long', '6|another kind of thing', '7|fewer than four fields', '8|not a number'),
			(map { "entities/tracks.idomaar|$_" } '6|malformed JSON', '7|malformed JSON', '8|another line of this number',
				'10|too long'),
			(map { "entities/users.idomaar|$_" } '4|not a gender', '4|not an age', '5|not a date',
				'6|another line of this number', '7|malformed JSON'),
			(map { "relations/events.idomaar|$_" } '11|not a time', '12|not a time', '13|no user', '14|no track',
				'15|not five fields', '16|not five fields', '17|not five fields', '18|not a play', '19|malformed JSON',
				'20|no user', '21|not five fields', '22|too long', '23|not five fields', '24|no user')),
		"rejected lines$time");
}
is(query(q{SELECT content FROM rejects WHERE file LIKE '%events%' AND line IN (15, 17) ORDER BY line}),
	"event.play\n\\.", 'rejected lines are kept');

# From the archive straight to features.
query('CREATE EXTENSION sessionlen; CREATE SCHEMA music');
{
	local $ENV{PGOPTIONS} = '-c search_path=music';

	for my $name ('load_30music.sql', 'features.sql', 'load_30music.sql')
	{
		$node->command_ok(loader($name, $archive), "$name in a schema");
	}
	is( query(q{SELECT user_id, track_name, gender, age, country, registered, duration, genre FROM listening_data
				 WHERE artist_name <> '' ORDER BY 1, "timestamp"}),
		join("\n",
			'1|Number "Two"|m|31|US|2007-02-15|274|hard rock', "1|100% \xe6\x97\xa5|m|31|US|2007-02-15||",
			'1|Trip/Hop|m|31|US|2007-02-15||r&b', '2|number "two"|f||PE|2007-02-15|1.5|hard rock'),
		'plays of the archive with durations, genres and profiles');
	is( query(q{SELECT user_id, session_id, round(times_played::numeric, 3), session_length FROM session_data
				 WHERE track_duration IS NOT NULL ORDER BY 1, "current_timestamp"}),
		"1|1|1.095|300\n1|1|300.000|1500\n2|1|1.000|1.5", 'and sessions');
	is(query('SELECT sum(plays), count(*) FROM unique_tracks'), '9|9', 'and tracks');
	query('DROP SCHEMA music CASCADE');
}
unlink "$archive/entities/tags.idomaar";
$node->command_fails(loader('load_30music.sql', $archive), 'a file is missing');
is(counts(), '9|6|29', 'a failed load changes nothing');
query('DROP TABLE track_metadata');

# What follows what: sessions of the plays, items in order.
query('DROP TABLE plays, users, rejects');
append_to_file("$empty/a folder/30music-sample.1.txt",
	"8\t3\t101\t1403292725\t9\n8\t3\t102\t1403294525\t9\n8\t3\t103\t1403296326\t9\n"
	  . "9\t4\t103\t1403292525\t\n9\t4\t105\t1403292525\t8\n9\t4\t104\t1403292525\t8\n");
$node->command_ok(loader('load_30music.sql', "$empty/a folder"), 'load more lines');
for my $time ('', ' again')
{
	$node->command_ok([ 'psql', '-X', '-q', '-f', "$examples/session_items.sql", 'postgres' ],
		"make session_items$time");
	is(query('SELECT session_id, session_position, session_length, item FROM session_items'),
		join("\n",
			'7/1|1|2|9 - 100', '7/1|2|2|101', '8/1|1|3|9 - 100', '8/1|2|3|9 - 101',
			'8/1|3|3|9 - 102', '9/1|1|3|103', '9/1|2|3|8 - 104', '9/1|3|3|8 - 105'),
		"items of sessions of two and more, ties by name$time");
}
$node->command_ok(
	[
		'psql', '-X', '-q', '-v', 'gap=31 min', '-v', 'least=4',
		'-f', "$examples/session_items.sql", 'postgres'
	],
	'another gap');
is(query('SELECT session_id, session_position, session_length, item FROM session_items'),
	"8/1|1|4|9 - 100\n8/1|2|4|9 - 101\n8/1|3|4|9 - 102\n8/1|4|4|9 - 103",
	'longer sessions only');

# ---- the 30Music slices, where they are at hand ----

SKIP:
{
	my $music = ($ENV{SHARED_DATA} || "$top/../shared/data") . '/30music';

	skip 'no folder 30music in SHARED_DATA', 7 unless -d $music;
	query('DROP TABLE plays, users, rejects');
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

	$node->command_ok(
		[ 'psql', '-X', '-q', '-f', "$examples/session_items.sql", 'postgres' ],
		'items of the slices');
	is( query(q{
		SELECT count(*) = (SELECT sum(event_count)
							 FROM (SELECT (unnest(sessionlen.sessions(ts))).*
									 FROM plays GROUP BY user_id) s WHERE event_count > 1),
			   bool_and(session_position BETWEEN 1 AND session_length),
			   count(DISTINCT item) > 20000
		  FROM session_items}),
		't|t|t', 'all plays of sessions of two and more');
}

# ---- any CSV file ----

append_to_file("$empty/plays of all.csv",
	qq{\xef\xbb\xbfTitle,USER_ID,"played_at",artist,seconds,other\n}
	  . qq{"a ""b"", c",u1,2020-01-01 10:00:00,Can,240,x\n}
	  . "Plain,u1,1577873400,Can,,\nLate,u1,2020-01-01T12:30:00+02:00,Can,-1,\nMs,u1,1577875200123,Can,0,\n"
	  . "bad,u1,2020-02-30 10:00:00,Can,1,\nbad,,2020-02-20 10:00:00,Can,1,\n"
	  . "bad,u1,2020-02-20 10:00:00,Can,long,\nbad,u1\n"
	  . qq{"bad,u1,2020-02-20 10:00:00,Can,1,\n"bad"x,u1,2020-02-20 10:00:00,Can,1,\n}
	  . "\\.\n\n" . 'y' x 1801 . ",u1,2020-02-20 10:00:00,Can,1,\n"
	  . "x\xe9y,u2,2020-01-01 10:00,\xc3\xa9,1.5,z\r\n\xff\x00,u2,2020-01-01 10:01Z,,,");
append_to_file("$empty/users.csv",
	qq{user_id,age,registered,gender\nu1,20,2006-02-30,Male\nu3,x,"Aug 13, 2006",F\nu1,21,,\n,1,,\nu4,1,,?\nu5,1\n});
query('DROP TABLE IF EXISTS plays, users, rejects, session_items');
for my $time ('', ' again')
{
	$node->command_ok(
		[
			'psql', '-X', '-q', '-v', "file=$empty/plays of all.csv", '-v', "users=$empty/users.csv",
			'-v', 'zone=Europe/Rome', '-f', "$examples/load_csv.sql", 'postgres'
		],
		"load a CSV file$time");
	is(query('SELECT * FROM plays ORDER BY user_id, ts'),
		join("\n",
			'u1|2020-01-01 09:00:00+00|Can|a "b", c|240', 'u1|2020-01-01 10:10:00+00|Can|Plain|',
			'u1|2020-01-01 10:30:00+00|Can|Late|', 'u1|2020-01-01 10:40:00.123+00|Can|Ms|',
			"u2|2020-01-01 09:00:00+00|\xc3\xa9|x\xc3\xa9y|1.5", "u2|2020-01-01 10:01:00+00||\xc3\xbf|"),
		"plays of all kinds$time");
	is(query('SELECT * FROM users ORDER BY user_id'),
		"u1|m|20||\nu2||||\nu3|f|||2006-08-13\nu4||1||", "users$time");
	is(query(q{SELECT regexp_replace(file, '.*/', ''), line, reason, left(content, 30) FROM rejects ORDER BY file, line}),
		join("\n",
			'plays of all.csv|6|not a time|u1,2020-02-30 10:00:00,Can,bad',
			'plays of all.csv|7|no user|,2020-02-20 10:00:00,Can,bad,1',
			'plays of all.csv|8|not a duration|u1,2020-02-20 10:00:00,Can,bad',
			'plays of all.csv|9|not as many fields as the header|bad,u1',
			'plays of all.csv|10|a quote without an end|"bad,u1,2020-02-20 10:00:00,Ca',
			'plays of all.csv|11|text after a quote|"bad"x,u1,2020-02-20 10:00:00,',
			'plays of all.csv|12|not as many fields as the header|\\.',
			'plays of all.csv|13|not as many fields as the header|',
			'plays of all.csv|14|too long|' . 'y' x 30,
			'users.csv|2|not a date|u1,Male,20,,2006-02-30',
			'users.csv|3|not an age|u3,F,x,,Aug 13, 2006',
			"users.csv|4|another profile of this user|u1\t\t21\t\t",
			'users.csv|5|no user|,,1,,',
			'users.csv|6|not a gender|u4,?,1,,',
			'users.csv|7|not as many fields as the header|u5,1'),
		"rejected lines$time");
}

# Without a header, with other names, another delimiter and unit.
append_to_file("$empty/bare.txt", "1|2020-01-01T10:00Z|Song|90500|9\n1|2020-01-01T10:02Z|\"So|ng\"|0|9\n");
append_to_file("$empty/other.tsv", "who\twhen\twhat\n2\t2020-01-01T10:00Z\tSong\n");
append_to_file("$empty/nobody.csv", "ts,track\n2020-01-01T10:00Z,Song\n");
append_to_file("$empty/nothing.csv", '');
query('DROP TABLE plays, users, rejects');
for my $options (
	[ 'bare.txt', 'delimiter=|', 'unit=ms', 'columns=user,time,track,duration,x' ],
	[ 'other.tsv', "delimiter=\t", 'user_id=who', 'ts=When', 'track_name=what' ],
	['nobody.csv'], ['nothing.csv'])
{
	my ($name, @set) = @$options;

	$node->command_ok(
		[
			'psql', '-X', '-q', '-v', "file=$empty/$name", (map { ('-v', $_) } @set),
			'-f', "$examples/load_csv.sql", 'postgres'
		],
		"load $name");
}
is(query('SELECT * FROM plays ORDER BY user_id, ts'),
	"1|2020-01-01 10:00:00+00||Song|90.5\n1|2020-01-01 10:02:00+00||So|ng|\n2|2020-01-01 10:00:00+00||Song|",
	'files of other forms');
is(query('SELECT line, reason FROM rejects ORDER BY line'),
	"1|not a header: no column user_id|userid|user\n2|not a header: no column user_id|userid|user",
	'a file without a user is left out and said so');
for my $options ([], ['file=/none'], [ "file=$empty/bare.txt", 'delimiter=ab' ],
	[ "file=$empty/bare.txt", 'unit=h' ], [ "file=$empty/bare.txt", 'zone=Nowhere' ])
{
	$node->command_fails(
		[
			'psql', '-X', '-q', (map { ('-v', $_) } @$options), '-f', "$examples/load_csv.sql",
			'postgres'
		],
		"refused: @$options");
}
is(counts(), '3|2|2', 'a refused load changes nothing');

# ---- the skip prediction challenge ----

sub tables
{
	return query('SELECT (SELECT count(*) FROM plays), (SELECT count(*) FROM tracks),'
		  . ' (SELECT count(*) FROM rejects)');
}

my $files = "$empty/skips and more";
my @columns = qw(session_id session_position session_length track_id_clean skip_1 skip_2 skip_3
  not_skipped context_switch no_pause_before_play short_pause_before_play long_pause_before_play
  hist_user_behavior_n_seekfwd hist_user_behavior_n_seekback hist_user_behavior_is_shuffle
  hour_of_day date premium context_type hist_user_behavior_reason_start
  hist_user_behavior_reason_end);
my $rest = 'false,true,true,false,0,1,0,0,2,0,true,16,2018-07-15,false,radio,trackdone,fwdbtn';

mkdir $files;
mkdir "$files/$_" for qw(training_set test_set track_features);
append_to_file("$files/training_set/log_0_20180715_000000000000.csv",
	join("\n",
		join(',', @columns),
		"0_a,1,10,t_1,$rest",
		"0_a,2,10,t_2,false,false,false,true,0,1,0,0,0,0,false,0,2018-07-15,true,user_collection,fwdbtn,trackdone",
		"0_a,3,10,t_3,False,TRUE,1,f,,,,,,,,,,,,,",	# what is unknown, and other ways to say it
		"0_a,3,10,t_3,False,TRUE,1,f,,,,,,,,,,,,,",	# twice is once
		"0_a,3,10,t_4,$rest",
		"0_a,4,10",
		"0_a,4,10,t_1,$rest,more",
		'',
		'\\.',
		",4,10,t_1,$rest",
		"0_a,0,10,t_1,$rest",
		"0_a,-1,10,t_1,$rest",
		"0_a,four,10,t_1,$rest",
		"0_a,4,ten,t_1,$rest",
		"0_a,11,10,t_1,$rest",
		"0_a,40000,40000,t_1,$rest",
		"0_a,4,10,,$rest",
		"0_a,4,10,t_1,maybe,true,true,false,0,1,0,0,2,0,true,16,2018-07-15,false,radio,trackdone,fwdbtn",
		"0_a,4,10,t_1,false,true,true,false,0,1,0,0,2,0,2,16,2018-07-15,false,radio,trackdone,fwdbtn",
		"0_a,4,10,t_1,false,true,true,false,0,1,0,0,-2,0,true,16,2018-07-15,false,radio,trackdone,fwdbtn",
		"0_a,4,10,t_1,false,true,true,false,0,1,0,0,2,0,true,24,2018-07-15,false,radio,trackdone,fwdbtn",
		"0_a,4,10,t_1,false,true,true,false,0,1,0,0,2,0,true,16,2018-02-29,false,radio,trackdone,fwdbtn",
		"0_a,4,10,t_1,false,true,true,false,0,1,0,0,2,0,true,16,2018-13-01,false,radio,trackdone,fwdbtn",
		"0_a,4,10,t_1,false,true,true,false,0,1,0,0,2,0,true,16,yesterday,false,radio,trackdone,fwdbtn",
		"0_\x01\x02a,5,10,t_\xe9\xff,false,true,true,false,0,1,0,0,2,0,true,16,2016-02-29,false,'); DROP TABLE plays; --,\$1,%s",
		"0_a,6,10,t_1,$rest"));	# and no end
# As pandas and R write it: other places, quotes, a row number, a byte order mark.
append_to_file("$files/log_mini.csv",
	qq{\xef\xbb\xbf"","skip_2","SESSION_ID","session_length","session_position","track_id_clean"\r\n}
	  . qq{"1","True","0_b",10,1,"t_1"\r\n"2","False","0_b",10,2,"t_2"\r\n"3","NA","0_b",10,3,"t_2"\r\n});
append_to_file("$files/test_set/log_prehistory_20180715_000000000000.csv",
	join(',', @columns) . "\n1_c,1,11,t_1,$rest\n");
append_to_file("$files/test_set/log_input_20180715_000000000000.csv",
	"session_id,session_position,session_length,track_id_clean\n"
	  . join('', map { "1_c,$_,11,t_$_\n" } 6 .. 11));
append_to_file("$files/training_set/log_headless.csv", "0_d,1,10,t_1,$rest\n0_d,2,10,t_1,$rest\n");
append_to_file("$files/training_set/log_empty.csv", '');

my @features = qw(track_id duration release_year us_popularity_estimate acousticness beat_strength
  bounciness danceability dyn_range_mean energy flatness instrumentalness key liveness loudness
  mechanism mode organism speechiness tempo time_signature valence acoustic_vector_0
  acoustic_vector_1 acoustic_vector_2 acoustic_vector_3 acoustic_vector_4 acoustic_vector_5
  acoustic_vector_6 acoustic_vector_7);
my $values = '180.066,1950,99.9,0.45,0.51,0.5,0.39,7.5,0.28,0.95,1.0e-05,11,0.08,-18.6,0.77,major,0.5,'
  . '0.03,117,3,0.64,-0.8,0.7,1E2,0,-1.5e+01,.5,0.2,nan';

append_to_file("$files/track_features/tf_000000000000.csv",
	join("\n",
		join(',', @features), "t_1,$values" =~ s/,\.5,/,0.5,/r, "t_1,$values" =~ s/,\.5,/,0.5,/r,
		"t_2," . ',' x 28, ",$values", "t_3,$values", "t_1,1" . ',' x 28,
		"t_4,1,19th" . ',' x 27, "t_5,inf" . ',' x 28, "t_6,1e999" . ',' x 28, "t_7,1"));
append_to_file("$files/track_features/tf_000000000001.csv",
	join(',', reverse @features) . "\n" . join(',', reverse 't_8', 1 .. 15, 'minor', 17 .. 29) . "\r\n");

query('DROP TABLE plays, users, rejects');
for my $time ('', ' again')
{
	$node->command_ok(loader('load_spotify.sql', $files), "load the challenge's files$time");
	is(tables(), '14|3|29', "every good line is there once, every bad one is reported$time");
	is(query('SELECT line, reason FROM rejects ORDER BY file COLLATE "C", line'),
		join("\n",
			'4|not a boolean',
			'5|no track',
			'6|not a number',
			'7|another track with this id',
			'8|not a whole number',
			'9|not a number',
			'10|not a number',
			'11|not as many fields as the header',
			'6|another play at this position',
			(map { "$_|not as many fields as the header" } 7 .. 10),
			'11|no session',
			(map { "$_|not a position" } 12 .. 14),
			'15|not a length',
			'16|a position beyond the length',
			'17|not a position',
			'18|no track',
			'19|not a boolean',
			'20|not a boolean',
			'21|not a count',
			'22|not an hour',
			(map { "$_|not a date" } 23 .. 25),
			'1|not a header: the file is left out'),
		"rejected lines and why$time");
}
is( query(q{SELECT file, content FROM rejects WHERE line IN (8, 10) AND file LIKE '%/log%' OR file LIKE '%mini%' ORDER BY line}),
	qq{log_mini.csv|"3","NA","0_b",10,3,"t_2"\n}
	  . "training_set/log_0_20180715_000000000000.csv|0_a,4,10,t_1,$rest,more\n"
	  . 'training_set/log_0_20180715_000000000000.csv|\\.',
	'rejected lines are kept');
is( query(q{SELECT * FROM plays WHERE session_id LIKE '0%' ORDER BY session_id, session_position}),
	join("\n",
		"0_a|1|10|t_1|f|t|t|f|f|t|f|f|2|0|t|16|2018-07-15|f|radio|trackdone|fwdbtn",
		"0_a|2|10|t_2|f|f|f|t|f|t|f|f|0|0|f|0|2018-07-15|t|user_collection|fwdbtn|trackdone",
		"0_a|3|10|t_3|f|t|t|f|||||||||||||",
		"0_a|5|10|t_\xc3\xa9\xc3\xbf|f|t|t|f|f|t|f|f|2|0|t|16|2016-02-29|f|');DROPTABLEplays;--|\$1|%s",
		"0_a|6|10|t_1|f|t|t|f|f|t|f|f|2|0|t|16|2018-07-15|f|radio|trackdone|fwdbtn",
		'0_b|1|10|t_1||t|||||||||||||||',
		'0_b|2|10|t_2||f|||||||||||||||'),
	'plays');
is( query(q{SELECT session_position, track_id, skip_2 FROM plays WHERE session_id = '1_c' ORDER BY 1}),
	join("\n", '1|t_1|t', map { "$_|t_$_|" } 6 .. 11),
	'a session of the test set, its second half without what happened');
is(query('SELECT * FROM tracks ORDER BY track_id'),
	join("\n",
		't_1|180.066|1950|99.9|0.45|0.51|0.5|0.39|7.5|0.28|0.95|1e-05|11|0.08|-18.6|0.77|major|0.5|0.03|117|3|0.64|-0.8|0.7|100|0|-15|0.5|0.2|',
		't_2' . '|' x 29,
		join('|', 't_8', 1 .. 15, 'minor', 17 .. 29)),
	'tracks');

# A part, a play that is another one now, and a table of another loader's.
query(q{UPDATE plays SET skip_2 = NOT skip_2 WHERE session_id = '1_c' AND session_position = 1;
		DELETE FROM plays WHERE session_id LIKE '0%'; DELETE FROM tracks});
$node->command_ok(
	[ @{ loader('load_spotify.sql', $files) }, '-v', 'logs=log_prehistory_*.csv' ], 'load a part');
is(tables(), '7|3|30', 'only the files asked for, and track features');
is(query(q{SELECT line, reason FROM rejects WHERE file ~ 'prehistory'}),
	'2|another play at this position', 'a play that differs from the one there is reported');
$node->command_fails_like(loader('load_spotify.sql', "$empty/a folder"),
	qr/neither logs .* nor track features/, 'a folder without such files');
$node->command_fails(loader('load_spotify.sql', "$empty/none"), 'no such folder');
is(tables(), '7|3|30', 'a failed load changes nothing');
query('DROP TABLE plays, tracks, rejects');
$node->command_ok(loader('load_30music.sql', "$empty/a folder"), 'other plays');
$node->command_fails_like(loader('load_spotify.sql', $files),
	qr/the table plays holds another kind of log/, 'plays of another kind');

$node->stop;
done_testing();
