# doc/examples/features.sql: unique tracks that follow the plays, and the views of plays,
# sessions and users, against plain SQL.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $dir = PostgreSQL::Test::Utils::tempdir;
my $log = 'userid-timestamp-artid-artname-traid-traname.tsv';

system_or_bail('make', '-s', '-C', $top, 'build/listening');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "timezone = 'America/New_York'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION sessionlen');

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', "SET timezone = 'UTC'; $sql");
}

sub run_script
{
	my ($name, $what, @set) = @_;

	$node->command_ok(
		[
			'psql', '-X', '-q', (map { ('-v', $_) } @set), '-f', "$top/doc/examples/$name",
			'postgres'
		],
		$what);
}

# ---- a log in last.fm-1K's format ----

mkdir "$dir/$_" for qw(first all);
for my $part ([ 'first', 6 ], [ 'all', 10 ])
{
	command_ok(
		[
			"$top/build/listening", '--users', $part->[1], '--seed', 5,
			'--original', "$dir/$part->[0]", '--plays', "$dir/$part->[0]/plays.tsv"
		],
		"a log of $part->[1] users");
}
run_script('load_lastfm_1k.sql', 'load the first users', "folder=$dir/first");
is(query('SELECT count(*) FROM rejects'), '0', 'every line is good');
is(query('SELECT count(*) FROM plays') + 0,
	scalar(keys %{ { map { $_ => 1 } split /\n/, slurp_file("$dir/first/$log") } }), 'every play is there');
is( query(qq{
	CREATE TEMPORARY TABLE made (user_id text, ts timestamptz, artist_name text, track_name text, duration float8);
	COPY made FROM '$dir/first/plays.tsv';
	SELECT count(*) FROM (SELECT user_id, date_trunc('second', ts), artist_name, track_name FROM made
						  EXCEPT SELECT user_id, ts, artist_name, track_name FROM plays) d}),
	'0', 'and the same as in the other files');
is(query('SELECT count(*), count(registered) FROM users'), '6|6', 'profiles');

# ---- unique tracks ----

run_script('features.sql', 'tables and views', 'zone=America/Sao_Paulo');

sub counts_hold
{
	my ($what) = @_;

	is( query(q{
		SELECT (SELECT count(*) FROM (SELECT artist_name, track_name, count(*) FROM plays
									   WHERE track_name <> '' GROUP BY 1, 2
									  EXCEPT ALL SELECT artist_name, track_name, plays FROM unique_tracks) d),
			   (SELECT count(*) FROM (SELECT artist_name, count(*) FROM plays WHERE artist_name <> '' GROUP BY 1
									  EXCEPT ALL SELECT artist_name, plays FROM unique_artists) d),
			   (SELECT sum(plays) FROM unique_tracks) = (SELECT count(*) FROM plays WHERE track_name <> ''),
			   (SELECT sum(plays) FROM unique_artists) = (SELECT count(*) FROM plays WHERE artist_name <> ''),
			   (SELECT count(*) FROM unique_tracks WHERE plays < 0)}),
		'0|0|t|t|0', "counts of tracks and artists: $what");
}

sub codes
{
	return query('SELECT code, artist_name, track_name FROM unique_tracks ORDER BY 1')
	  . query('SELECT code, artist_name FROM unique_artists ORDER BY 1')
	  . query('TABLE country_codes ORDER BY 1');
}

counts_hold('of what was there');
is(query('SELECT bool_and(plays <= before) FROM (SELECT plays, lag(plays) OVER (ORDER BY code) AS before FROM unique_tracks) u'),
	't', 'the most played first');
my $codes = codes();
run_script('load_lastfm_1k.sql', 'load them again', "folder=$dir/first");
counts_hold('nothing new');
is(codes(), $codes, 'nor a code');
run_script('load_lastfm_1k.sql', 'load the others', "folder=$dir/all");
is(query('SELECT count(*) FROM users'), '10', 'more users');
counts_hold('new plays only');
is(query('SELECT code FROM unique_tracks EXCEPT SELECT generate_series(1, (SELECT count(*) FROM unique_tracks))'),
	'', 'codes without holes');
query(q{CREATE TEMPORARY TABLE removed AS TABLE plays;
	DELETE FROM plays WHERE user_id = 'user_000003'});
counts_hold('plays removed');
query(q{INSERT INTO plays VALUES ('u', '2005-06-01', NULL, 'Nameless', 5), ('u', '2005-06-01', '', 'Nameless', 5),
		('u', '2005-06-02 00:00:05', 'Only', NULL, 5), ('u', '2005-06-01 00:00:10', NULL, NULL, 5)});
is(query(q{SELECT artist_name, plays FROM unique_tracks WHERE track_name = 'Nameless'}), '|2', 'a track without an artist');
query(q{DELETE FROM plays WHERE user_id = 'u' AND artist_name = ''});
counts_hold('names unknown');
query(q{UPDATE plays SET track_name = 'Renamed' WHERE user_id = 'user_000005'});
query(q{UPDATE plays SET duration = 100 WHERE user_id = 'user_000005'});
counts_hold('plays changed');
query(q{CREATE ROLE writer; GRANT INSERT ON plays TO writer; SET ROLE writer;
	INSERT INTO plays VALUES ('v', '2005-06-02', 'New', 'New', 5)});
counts_hold('by somebody with no other right');
query(q{BEGIN; CREATE TABLE kept AS TABLE plays; TRUNCATE plays; COMMIT});
is(query('SELECT sum(plays) FROM unique_tracks'), '0', 'no plays');
query('INSERT INTO plays TABLE kept; DROP TABLE kept');
counts_hold('all at once');
is(substr(codes(), 0, index($codes, "\n")), substr($codes, 0, index($codes, "\n")), 'codes stay');

# ---- what is known of a play ----

query(q{
	INSERT INTO track_metadata (artist_name, track_name, duration, genres, status, reason, tries, asked_at)
	SELECT artist, track, CASE WHEN n % 5 > 0 THEN 150 + n % 200 + 0.25 END,
		   CASE WHEN n % 3 > 0 THEN ARRAY['genre ' || n % 7, 'other'] ELSE '{}' END,
		   'found', NULL, 1, now()
	  FROM (SELECT DISTINCT lower(artist_name) AS artist, lower(track_name) AS track,
				   abs(hashtext(lower(artist_name || track_name))) AS n
			  FROM plays WHERE artist_name <> '' AND track_name <> '') t WHERE n % 10 > 0;
	UPDATE users SET country = ' PERU ' WHERE user_id = 'user_000007';
	INSERT INTO users VALUES ('nobody', 'm', 20, 'Nowhere', '2005-01-01')});
is( query(q{
	SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
	 WHERE attnum > 0 AND attrelid IN ('listening_data'::regclass, 'session_data'::regclass,
		   'session_summary'::regclass, 'user_profile'::regclass)
	 GROUP BY attrelid ORDER BY count(*), attrelid::regclass::text}),
	join("\n",
		'user_id, timestamp, artist_name, track_name, gender, age, country, registered, duration, genre',
		'start_timestamp, user_id, session_id, gender, age, country, registered, '
		  . 'previous_session_length, average_session_length, session_length',
		'user_id, gender, age, country, registered, top_artist, top_track, total_sessions, '
		  . 'average_session_length, max_session_length, median_session_length, total_session_rows',
		'user_id, current_timestamp, start_timestamp, session_id, previous_session_length, '
		  . 'average_session_length, gender, age, country, registered, track_duration, times_played, '
		  . 'artist_name, track_name, session_length'),
	"the study's names");
is( query(q{
	SELECT count(*) = (SELECT count(*) FROM plays), count(duration) > 1000, count(*) > count(duration),
		   count(genre) > 1000, count(genre) FILTER (WHERE genre NOT LIKE 'genre _'),
		   count(*) FILTER (WHERE age <> (SELECT u.age + date_part('year', l."timestamp") - date_part('year', u.registered)
											FROM users u WHERE u.user_id = l.user_id)),
		   count(*) FILTER (WHERE duration IS DISTINCT FROM
				coalesce((SELECT p.duration FROM plays p WHERE (p.user_id, p.ts, p.artist_name, p.track_name)
															 = (l.user_id, l."timestamp", l.artist_name, l.track_name)),
						 (SELECT m.duration FROM track_metadata m
						   WHERE (m.artist_name, m.track_name) = (lower(l.artist_name), lower(l.track_name)))))
	  FROM listening_data l WHERE artist_name <> '' AND track_name <> '' AND user_id LIKE 'user%'}) =~ s/^[tf]\|//r,
	't|t|t|0|0|0', 'a row a play: age at the time, duration and genre of the track');

# ---- sessions, by plain SQL from epoch seconds alone ----

query(q{
	CREATE TABLE plain AS
	WITH e AS (
		SELECT *, extract(epoch FROM "timestamp")::numeric AS t, coalesce(duration, 0)::numeric AS d,
			   row_number() OVER (PARTITION BY user_id ORDER BY "timestamp", coalesce(duration, 0), artist_name, track_name) AS n
		  FROM listening_data),
	cut AS (
		SELECT e.*, b.t IS NULL OR e.t - b.t - b.d > 1800 AS new
		  FROM e LEFT JOIN e b ON b.user_id = e.user_id AND b.n = e.n - 1)
	SELECT *, count(*) FILTER (WHERE new) OVER (PARTITION BY user_id ORDER BY n) AS s FROM cut;
	CREATE INDEX ON plain (user_id, s, n);
	CREATE TABLE plain_session AS
	SELECT user_id, s, min(t) AS t0, (array_agg(t + d ORDER BY n DESC))[1] AS t1, count(*) AS plays
	  FROM plain GROUP BY user_id, s;
	CREATE INDEX ON plain_session (user_id, s);
	ANALYZE plain, plain_session});
my $reference = q{
	SELECT p.user_id, p."timestamp", to_timestamp(s.t0), p.s,
		   coalesce((SELECT b.t1 - b.t0 FROM plain_session b WHERE b.user_id = p.user_id AND b.s = p.s - 1), 0)::float8,
		   round(coalesce((SELECT avg(b.t1 - b.t0) FROM plain_session b WHERE b.user_id = p.user_id AND b.s < p.s), 0), 6),
		   CASE u.gender WHEN 'm' THEN 1 WHEN 'f' THEN 0 ELSE -1 END, p.age,
		   coalesce((SELECT code FROM country_codes c WHERE c.country = trim(lower(u.country))), 0),
		   u.registered, p.duration,
		   round(CASE WHEN f.n IS NULL THEN 1 WHEN p.duration IS NULL THEN 0 ELSE (f.t - p.t) / p.d END, 6),
		   coalesce((SELECT code FROM unique_artists a WHERE a.artist_name = p.artist_name), 0),
		   coalesce((SELECT code FROM unique_tracks a
					  WHERE a.track_name = p.track_name AND a.artist_name IS NOT DISTINCT FROM p.artist_name), 0),
		   (coalesce(f.t, s.t1) - s.t0)::float8
	  FROM plain p
	  JOIN plain_session s USING (user_id, s)
	  LEFT JOIN plain f ON f.user_id = p.user_id AND f.s = p.s AND f.n = p.n + 1
	  LEFT JOIN users u ON u.user_id = p.user_id};
my $ours = q{
	SELECT user_id, "current_timestamp", start_timestamp, session_id, previous_session_length,
		   round(average_session_length::numeric, 6), gender, age, country, registered, track_duration,
		   round(times_played::numeric, 6), artist_name, track_name, session_length
	  FROM session_data};
is( query("WITH r AS ($reference), o AS ($ours)
		   SELECT (SELECT count(*) FROM (TABLE r EXCEPT ALL TABLE o) d), (SELECT count(*) FROM (TABLE o EXCEPT ALL TABLE r) d),
				  (SELECT count(*) FROM o) = (SELECT count(*) FROM plays)"),
	'0|0|t', 'session_data is what plain SQL says');
like(query('EXPLAIN SELECT * FROM session_data'), qr/Function Scan on session_rows.*rows=1000 /,
	'the planner knows that users have many sessions');
is( query(q{
	SELECT bool_or(times_played > 1), bool_or(times_played > 0 AND times_played < 1), bool_or(times_played = 0),
		   bool_or(track_duration IS NULL), bool_or(gender = -1), count(DISTINCT country) > 3, bool_or(artist_name = 0),
		   bool_or(track_name = 0), bool_or(age IS NULL) FROM session_data}),
	't|t|t|t|t|t|t|t|t', 'with cases of all kinds');
is( query(q{
	WITH last AS (
		SELECT DISTINCT ON (user_id, session_id) * FROM session_data
		 ORDER BY user_id, session_id, "current_timestamp" DESC, session_length DESC)
	SELECT count(*) = (SELECT count(*) FROM plain_session), count(*) = (SELECT count(*) FROM session_summary)
	  FROM last d
	  JOIN session_summary s USING (start_timestamp, user_id, session_id, gender, country,
									previous_session_length, average_session_length, session_length)
	 WHERE d.registered IS NOT DISTINCT FROM s.registered}),
	't|t', 'a row a session, as its last play says');
is( query(q{
	SELECT count(*) FROM (
		SELECT to_timestamp(s.t0), s.user_id, s.s, (s.t1 - s.t0)::float8,
			   sessionlen.age_at(to_timestamp(s.t0), u.age, u.registered)
		  FROM plain_session s LEFT JOIN users u USING (user_id)
		EXCEPT ALL SELECT start_timestamp, user_id, session_id, session_length, age FROM session_summary) d}),
	'0', 'session_summary is what plain SQL says');
is( query(q{
	SELECT count(*), string_agg(p::text || s::text, E'\\n') FILTER (WHERE NOT (p.total_sessions = s.n AND abs(p.average_session_length - s.mean) < 1e-6
				AND p.max_session_length = s.most AND p.median_session_length = s.median AND p.total_session_rows = s.plays
				AND p.gender = CASE u.gender WHEN 'm' THEN 1 WHEN 'f' THEN 0 ELSE -1 END
				AND p.age IS NOT DISTINCT FROM u.age AND p.registered IS NOT DISTINCT FROM u.registered
				AND p.country = coalesce((SELECT code FROM country_codes c WHERE c.country = lower(trim(u.country))), 0)
				AND p.top_artist IS NOT DISTINCT FROM (SELECT artist_name COLLATE "C" FROM plays l WHERE l.user_id = p.user_id AND artist_name <> ''
														GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)))
	  FROM user_profile p
	  LEFT JOIN users u USING (user_id)
	  JOIN (SELECT user_id, count(*) AS n, avg(t1 - t0) AS mean, max(t1 - t0)::float8 AS most,
				   percentile_cont(0.5) WITHIN GROUP (ORDER BY (t1 - t0)::float8) AS median, sum(plays) AS plays
			  FROM plain_session GROUP BY user_id) s USING (user_id)}),
	'11|', 'user_profile is what plain SQL says');

# ---- the calendar ----

query(q{
	INSERT INTO user_time_zones VALUES ('user_000001', 'Asia/Tokyo'), ('user_000002', 'Europe/London');
	INSERT INTO holidays VALUES ('2006-01-01', NULL, 'New Year'), ('2005-12-26', 'united kingdom', 'Boxing Day');
	INSERT INTO holidays SELECT day, 'Japan', 'many' FROM generate_series('2005-06-01'::date, '2006-06-01', '1 day') day;
	UPDATE users SET country = CASE user_id WHEN 'user_000001' THEN 'Japan' ELSE 'United Kingdom' END
	 WHERE user_id IN ('user_000001', 'user_000002')});
my ($code, undef, $error) = $node->psql('postgres', q{INSERT INTO user_time_zones VALUES ('x', 'Nowhere')});
isnt($code, 0, 'a time zone that does not exist');
is( query(q{
	CREATE TEMPORARY TABLE l AS
		SELECT s.*, to_timestamp(t0) AS began,
			   to_char(to_timestamp(t0) AT TIME ZONE CASE user_id WHEN 'user_000001' THEN 'Asia/Tokyo'
						WHEN 'user_000002' THEN 'Europe/London' ELSE 'America/Sao_Paulo' END, 'YYYY-MM-DD HH24 ID') AS local
		  FROM plain_session s;
	CREATE INDEX ON l (user_id, s);
	ANALYZE l;
	WITH r AS (
		SELECT l.user_id, l.s, l.began, split_part(local, ' ', 2)::int AS hour, split_part(local, ' ', 3)::int AS weekday,
			   (l.t0 - (SELECT b.t1 FROM l b WHERE b.user_id = l.user_id AND b.s = l.s - 1))::float8 AS absence,
			   round(coalesce((SELECT avg(b.t1 - b.t0) FROM l b WHERE b.user_id = l.user_id AND b.s < l.s AND b.s >= l.s - 5), 0), 6) AS m5,
			   round(coalesce((SELECT avg(b.t1 - b.t0) FROM l b WHERE b.user_id = l.user_id AND b.s < l.s AND b.s >= l.s - 10), 0), 6) AS m10,
			   (SELECT count(*) FROM l b WHERE b.user_id = l.user_id AND b.s <= l.s AND left(b.local, 10) = left(l.local, 10)) AS of_day,
			   local LIKE '2006-01-01%' OR local LIKE '2005-12-26%' AND u.country = 'United Kingdom'
			   OR u.country IS NOT DISTINCT FROM 'Japan' AND left(local, 10)::date BETWEEN '2005-06-01' AND '2006-06-01' AS holiday
		  FROM l LEFT JOIN users u USING (user_id)),
	o AS (
		SELECT user_id, session_id, start_timestamp, hour, weekday, absence, round(moving_average_5::numeric, 6),
			   round(moving_average_10::numeric, 6), session_of_day, holiday
		  FROM session_features)
	SELECT (SELECT count(*) FROM (TABLE r EXCEPT ALL TABLE o) d), (SELECT count(*) FROM (TABLE o EXCEPT ALL TABLE r) d),
		   (SELECT count(*) > 0 FROM r WHERE holiday AND user_id = 'user_000001'), (SELECT max(of_day) > 2 FROM r)}),
	'0|0|t|t', 'session_features is what plain SQL says');
is(query(q{SELECT string_agg(DISTINCT time_of_day || ' ' || lpad(hour::text, 2, '0'), ', ') FROM session_features}),
	join(', ',
		(map { sprintf 'afternoon %02d', $_ } 12 .. 16), (map { sprintf 'evening %02d', $_ } 17 .. 21),
		(map { sprintf 'morning %02d', $_ } 5 .. 11), (map { sprintf 'night %02d', $_ } 0 .. 4, 22, 23)),
	'times of day');

# The page's expressions are the columns.
{
	my %expression;
	for (slurp_file("$top/doc/from_logs.md") =~ /^\| (`\w+`.*)$/mg)
	{
		my ($columns, $expressions) = (split / \| /)[ 0, 2 ];
		my @names = $columns =~ /`(\w+)`/g;
		my @bodies = ($expressions // '') =~ /`([^`]+)`/g;

		$expression{ $names[$_] } = $bodies[$_] for grep { ($bodies[$_] // '') =~ /local|hour|OVER|EXISTS/ } 0 .. $#names;
	}
	$expression{moving_average_10} = $expression{moving_average_5} =~ s/\b5 PRECEDING/10 PRECEDING/r;
	my @names = sort keys %expression;
	is("@names", 'holiday hour moving_average_10 moving_average_5 session_of_day time_of_day weekday',
		'columns the page has an expression for');
	my $differ = join ', ', map { "count(*) FILTER (WHERE by_page.$_ IS DISTINCT FROM f.$_)" } @names;
	my $by_page = join ', ', map { "$expression{$_} AS $_" } @names;
	is( query(qq{
		SELECT $differ, count(*) = (SELECT count(*) FROM session_features)
		  FROM (SELECT user_id, session_id, $by_page
				  FROM (SELECT s.*, start_timestamp AT TIME ZONE coalesce(z.time_zone, 'America/Sao_Paulo') AS local
						  FROM session_features s LEFT JOIN user_time_zones z USING (user_id)) s
				  LEFT JOIN (SELECT user_id, country AS said FROM user_data) d USING (user_id)
				 CROSS JOIN LATERAL (SELECT said AS country) u) by_page
		  JOIN session_features f USING (user_id, session_id)}),
		'0|0|0|0|0|0|0|t', 'and they are what it says');
}

# Hours that occur twice or never, the bounds of times of day, days that are not UTC's, and
# a user whose zone nobody knows.
query(q{
	INSERT INTO user_time_zones VALUES ('dst', 'Europe/Berlin'), ('bounds', 'Asia/Kolkata');
	INSERT INTO users (user_id, country) VALUES ('dst', '  germany '), ('bounds', NULL), ('zoneless', 'GERMANY');
	INSERT INTO holidays VALUES ('2007-03-25', ' Germany ', 'a Sunday'), ('2007-10-27', 'Peru', 'elsewhere');
	INSERT INTO plays (user_id, ts)
	SELECT 'dst', unnest('{2007-03-24 22:59:59Z,2007-03-25 00:30Z,2007-03-25 01:30Z,2007-03-25 22:30Z,
						   2007-10-27 21:30Z,2007-10-28 00:30Z,2007-10-28 01:30Z,2007-10-28 22:59:59Z,2007-10-28 23:30Z}'::timestamptz[]);
	INSERT INTO plays (user_id, ts)
	SELECT 'bounds', t::timestamp AT TIME ZONE 'Asia/Kolkata'
	  FROM unnest('{2007-01-02 04:59:59,2007-01-03 05:00,2007-01-04 11:59:59,2007-01-05 12:00,2007-01-06 16:59:59,2007-01-07 17:00,
					2007-01-08 21:59:59,2007-01-09 22:00,2007-01-10 00:00}'::text[]) t;
	INSERT INTO plays (user_id, ts) VALUES ('zoneless', '2007-03-25 02:59:59Z'), ('zoneless', '2007-03-26 02:59:59Z')});
is( query(q{SELECT start_timestamp, hour, weekday, session_of_day, holiday, absence FROM session_features WHERE user_id = 'dst' ORDER BY 1}),
	join("\n",
		'2007-03-24 22:59:59+00|23|6|1|f|',	# the last second of Saturday
		'2007-03-25 00:30:00+00|1|7|1|t|5401',
		'2007-03-25 01:30:00+00|3|7|2|t|3600',	# there is no hour 2
		'2007-03-25 22:30:00+00|0|1|1|f|75600',
		'2007-10-27 21:30:00+00|23|6|1|f|18658800',
		'2007-10-28 00:30:00+00|2|7|1|f|10800',
		'2007-10-28 01:30:00+00|2|7|2|f|3600',	# hour 2 again
		'2007-10-28 22:59:59+00|23|7|3|f|77399',
		'2007-10-28 23:30:00+00|0|1|1|f|1801'),
	'summer time comes and goes');
is( query(q{SELECT hour, time_of_day, weekday FROM session_features WHERE user_id = 'bounds' ORDER BY start_timestamp}),
	join("\n",
		'4|night|2', '5|morning|3', '11|morning|4', '12|afternoon|5', '16|afternoon|6', '17|evening|7', '21|evening|1', '22|night|2', '0|night|3'),
	'times of day change on the hour, in a zone of half hours');
is( query(q{SELECT hour, weekday, holiday FROM session_features WHERE user_id = 'zoneless' ORDER BY start_timestamp}),
	"23|6|f\n23|7|t", 'who has no zone has the one of the script');

# What users say means the same everywhere.
query(q{
	ALTER TABLE users DROP CONSTRAINT users_gender_check;
	UPDATE users SET gender = ' Female', age = -5 WHERE user_id = 'dst';
	UPDATE users SET gender = 'M', country = '  ', age = 30, registered = '2005-05-05' WHERE user_id = 'bounds';
	UPDATE users SET gender = 'n', country = 'Germany' WHERE user_id = 'zoneless'});
is( query(q{SELECT code FROM country_codes WHERE country = 'germany'}), query(q{SELECT max(code) FROM country_codes}),
	'one code, however it is written');
for my $view ('session_data', 'session_summary', 'user_profile')
{
	is( query(qq{SELECT DISTINCT user_id, gender, (SELECT c.country FROM country_codes c WHERE c.code = v.country), age, registered
				   FROM $view v WHERE user_id IN ('dst', 'bounds', 'zoneless') ORDER BY 1}),
		'bounds|1||' . ($view eq 'user_profile' ? 30 : 32) . "|2005-05-05\ndst|0|germany||\nzoneless|-1|germany||", "users in $view");
}
for my $view ('listening_data', 'session_features')
{
	is( query(qq{SELECT DISTINCT user_id, gender, country, age, registered FROM $view
				  WHERE user_id IN ('dst', 'bounds', 'zoneless') ORDER BY 1}),
		"bounds|m||32|2005-05-05\ndst|f|germany||\nzoneless||Germany||", "users in $view");
}
is( query(q{SELECT user_id, gender, country, age FROM sessionlen.user_profiles('plays', 'users') WHERE user_id IN ('dst', 'bounds', 'zoneless')}),
	"bounds|1||30\ndst|0|germany|\nzoneless|-1|Germany|", 'users in user_profiles()');
query(q{DELETE FROM plays WHERE user_id IN ('dst', 'bounds', 'zoneless')});

# A session asked for at its start is the session itself, but for what is not known yet.
is( query(q{
	SELECT count(*), count(*) FILTER (WHERE f.session_length IS NULL AND s IS NOT DISTINCT FROM g)
	  FROM (SELECT * FROM session_features WHERE user_id = 'user_000002' AND session_id IN (1, 2, 7, 12)) s
	 CROSS JOIN session_features(s.start_timestamp) f
	 CROSS JOIN LATERAL (SELECT f.user_id, f.session_id, f.start_timestamp, f.gender, f.age, f.country, f.registered,
			f.previous_session_length, f.average_session_length, f.absence, f.moving_average_5, f.moving_average_10,
			f.session_of_day, f.hour, f.weekday, f.time_of_day, f.holiday, s.session_length) g
	 WHERE f.user_id = s.user_id AND f.session_length IS NULL}),
	'4|4', 'the session to come');
is( query(q{SELECT count(*), count(DISTINCT user_id), count(session_length) FROM session_features('2030-01-01')
			 WHERE start_timestamp = '2030-01-01'}),
	'11|11|0', 'of every user');

# ---- again ----

my $views = query('SELECT count(*) FROM session_features') . codes();
run_script('features.sql', 'run the script again', 'zone=America/Sao_Paulo');
is(query('SELECT count(*) FROM session_features') . codes(), $views, 'nothing changed');
run_script('features.sql', 'another gap', 'gap=20 min');
is( query(q{SELECT (SELECT count(*) FROM session_summary) = sum(cardinality(l)), (SELECT sum(total_sessions) FROM user_profile) = sum(cardinality(l)),
				   (SELECT count(DISTINCT (user_id, session_id)) FROM session_data) = sum(cardinality(l))
			  FROM (SELECT sessionlen.sessions("timestamp", duration, '20 min') AS l FROM listening_data GROUP BY user_id) s}),
	't|t|t', 'sessions of another gap in all views');

$node->stop;
done_testing();
