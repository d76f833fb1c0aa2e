# The generated listening logs: sessions() finds exactly the sessions the generator wrote
# down, the ideal predictions are calibrated, and baselines are far from them.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use File::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $listening = "$top/build/listening";
my $dir = PostgreSQL::Test::Utils::tempdir;

system_or_bail('make', '-s', '-C', $top, 'build/listening');

# generate(name, option...): files in a folder of that name, as the loader wants them.
sub generate
{
	my ($name, @options) = @_;

	mkdir "$dir/$name";
	command_ok(
		[
			$listening, @options,
			'--plays', "$dir/$name/plays.tsv",
			'--profiles', "$dir/$name/profiles.tsv",
			'--truth', "$dir/$name/truth.tsv"
		],
		"generate $name");
	return "$dir/$name";
}

my @size = ('--users', 150, '--sessions', 30);
my $log = generate('log', @size, '--seed', 3);
my $again = generate('again', @size, '--seed', 3);
my $other = generate('other', @size, '--seed', 4);
my $unknown = generate('unknown', @size, '--seed', 3, '--unknown', 0.3);

is(compare("$log/$_.tsv", "$again/$_.tsv"), 0, "the same seed: the same $_")
  for qw(plays profiles truth);
isnt(compare("$log/$_.tsv", "$other/$_.tsv"), 0, "another seed: other $_")
  for qw(plays profiles truth);
is(compare("$log/truth.tsv", "$unknown/truth.tsv"), 0, 'durations withheld: the same truth');

command_fails_like([ $listening, '--users', 'many' ], qr/--users: not a number/, 'bad number');
command_fails_like([ $listening, '--start', 'May' ], qr/--start: not a date/, 'bad date');
command_fails_like([ $listening, '--plays', "$dir/no/file" ], qr/No such file/, 'bad path');
command_fails_like([ $listening, '--nonsense' ], qr/usage:/, 'bad option');
command_like([ $listening, '--help' ], qr/--truth FILE/, 'help');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

sub load
{
	my ($database, $folder) = @_;

	$node->command_ok(
		[
			'psql', '-X', '-q', '-d', $database,
			'-v', "folder=$folder",
			'-f', "$top/doc/examples/load_listening.sql"
		],
		"load a folder into database $database");
}

for my $name (qw(log unknown))
{
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION sessionlen');
	load($name, "$dir/$name");
	my $counts = 'SELECT (SELECT count(*) FROM plays), (SELECT count(*) FROM users),'
	  . ' (SELECT count(*) FROM truth), (SELECT count(*) FROM rejects)';
	my $before = $node->safe_psql($name, $counts);
	like($before, qr/^\d{5,}\|150\|\d{4,}\|0$/, "$name: rows of each kind");
	load($name, "$dir/$name");
	is($node->safe_psql($name, $counts), $before, "$name: loading again adds nothing");

	# Any order of rows; the truth is compared exactly, to the microsecond.
	for my $order ('user_id, ts', 'ts DESC', 'md5(user_id || ts::text || track_name)')
	{
		is( $node->safe_psql($name, qq{
			CREATE TABLE shuffled AS SELECT * FROM plays ORDER BY $order;
			SELECT count(*) > 3000, count(t.user_id) = count(*), count(s.user_id) = count(*)
			  FROM truth t
			  FULL JOIN (SELECT user_id, (unnest(sessionlen.sessions(ts, duration, '30 min'))).*
						   FROM shuffled GROUP BY user_id) s
				ON (s.user_id, s.session_number, s.session_start, s.session_length)
				 = (t.user_id, t.session_number, t.session_start, t.session_length);
			DROP TABLE shuffled;}),
			't|t|t', "$name: sessions() gives the truth, plays by $order");
	}
}

is( $node->safe_psql('log', 'SELECT count(*) FROM plays WHERE duration IS NULL'),
	'0', 'every duration is known by default');
is( $node->safe_psql('unknown', q{
	SELECT abs(avg((duration IS NULL)::int) - 0.3 * (1 - (SELECT count(*) FROM truth)::float
															 / count(*))) < 0.01 FROM plays}),
	't', 'as many durations are withheld as asked, last ones of sessions never');
is( $node->safe_psql('log', q{
	SELECT count(*) FROM (SELECT FROM plays WHERE duration > 90
						   GROUP BY artist_name, track_name
						  HAVING count(*) > 5
							 AND mode() WITHIN GROUP (ORDER BY duration) <> max(duration)) x}),
	'0', 'a track has one duration, and shorter ones only at the end of sessions');

# Calibration and baselines on more users: 2,000 of about 60 sessions.
my $large = "$dir/large";
mkdir $large;
command_ok(
	[
		$listening, '--users', 2000, '--sessions', 60, '--seed', 11,
		'--truth', "$large/truth.tsv", '--profiles', "$large/profiles.tsv"
	],
	'generate large');
append_to_file("$large/plays.tsv", '');
$node->safe_psql('postgres', 'CREATE DATABASE large');
load('large', $large);

# The chance of a length below a forecast's quantile is the quantile's level, whatever
# is known before.
for my $group (
	[ 'all sessions', 'true' ],
	[ 'first sessions', 'session_number = 1' ],
	[ 'sessions 2 to 5', 'session_number BETWEEN 2 AND 5' ],
	[ 'late sessions', 'session_number > 50' ],
	[ 'weekends', "extract(isodow FROM session_start AT TIME ZONE 'UTC') > 5" ],
	[ 'evenings', "extract(hour FROM session_start AT TIME ZONE 'UTC') >= 20" ],
	[ 'mornings', "extract(hour FROM session_start AT TIME ZONE 'UTC') BETWEEN 4 AND 9" ],
	[ 'short absences', 'absence < 7200' ],
	[ 'long absences', 'absence > 5 * 86400' ],
	[ 'after long sessions', 'previous > 10000' ],
	[ 'the last sessions of users', 'last' ],
	[ 'empty profiles', 'gender IS NULL AND age IS NULL' ],
	[ 'old men', "gender = 'm' AND age >= 40" ])
{
	my ($what, $condition) = @$group;

	is( $node->safe_psql('large', qq{
		WITH rows AS (
			SELECT *, lag(session_length) OVER w AS previous,
				   extract(epoch FROM session_start - lag(session_start) OVER w)
					 - lag(session_length) OVER w AS absence,
				   lead(session_number) OVER w IS NULL AS last
			  FROM truth JOIN users USING (user_id)
			WINDOW w AS (PARTITION BY user_id ORDER BY session_number)),
		hits AS (
			SELECT p, avg((session_length < bound)::int) AS hit, count(*) AS n
			  FROM rows, LATERAL (VALUES (0.1, ideal_low), (0.5, ideal), (0.9, ideal_high))
						   AS q (p, bound)
			 WHERE $condition GROUP BY p)
		SELECT count(*), bool_and(n > 100), bool_and(abs(hit - p) < 4 * sqrt(p * (1 - p) / n))
		  FROM hits}),
		'3|t|t', "quantiles are calibrated for $what");
}

# Held-out users' first halves are known, their second halves predicted.
my $scores = $node->safe_psql('large', q{
	WITH numbered AS (
		SELECT *, session_number * 2 <= count(*) OVER (PARTITION BY user_id) AS early,
			   lag(session_length) OVER (PARTITION BY user_id ORDER BY session_number) AS last_value
		  FROM truth WHERE hashtext(user_id) % 5 = 0),
	trained AS (
		SELECT user_id, avg(session_length) AS mean,
			   percentile_cont(0.5) WITHIN GROUP (ORDER BY session_length) AS median
		  FROM numbered WHERE early GROUP BY user_id),
	overall AS (
		SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY session_length) AS median
		  FROM numbered WHERE early)
	SELECT avg(abs(session_length - ideal)), avg(abs(session_length - trained.mean)),
		   avg(abs(session_length - trained.median)), avg(abs(session_length - last_value)),
		   avg(abs(session_length - overall.median))
	  FROM numbered JOIN trained USING (user_id), overall WHERE NOT early});
my ($ideal, %baseline);
($ideal, @baseline{ 'user mean', 'user median', 'last value', 'global median' }) =
  split /\|/, $scores;
note sprintf 'MAE: ideal %.1f s', $ideal;
for my $name (sort keys %baseline)
{
	cmp_ok($baseline{$name}, '>', 1.3 * $ideal, sprintf 'the %s is off by %.1f s, %.3f times the ideal',
		$name, $baseline{$name}, $baseline{$name} / $ideal);
}

$node->stop;
done_testing();
