# The generated sessions with skips: their files, their statistics, and the best answers
# beside them, which are calibrated and far from the baselines.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use File::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $skips = "$top/build/skips";
my $dir = PostgreSQL::Test::Utils::tempdir;
my @files = (
	(map { "log_0_201807${_}_000000000000.csv" } 15, 16),
	(map { "tf_00000000000$_.csv" } 0, 1),
	qw(truth.tsv playlists.tsv));

system_or_bail('make', '-s', '-C', $top, 'build/skips');

# generate(name, option...): files in a folder of that name, as the loader wants them.
sub generate
{
	my ($name, @options) = @_;

	mkdir "$dir/$name";
	command_ok(
		[
			$skips, @options,
			'--folder', "$dir/$name",
			'--truth', "$dir/$name/truth.tsv",
			'--playlists', "$dir/$name/playlists.tsv"
		],
		"generate $name");
	return "$dir/$name";
}

my @size = ('--sessions', 400, '--days', 2, '--tracks', 333);
my $log = generate('log', @size, '--seed', 3);
my $again = generate('again', @size, '--seed', 3);
my $other = generate('other', @size, '--seed', 4);

is(compare("$log/$_", "$again/$_"), 0, "the same seed: the same $_") for @files;
isnt(compare("$log/$_", "$other/$_"), 0, "another seed: other $_") for @files[ 0, 1, 4 ];
is(compare("$log/$_", "$other/$_"), 0, "another seed: the same $_") for @files[ 2, 3, 5 ];
command_ok([ $skips, @size, '--seed', 3, '--truth', "$dir/truth.tsv" ], 'the truth alone');
is(compare("$log/truth.tsv", "$dir/truth.tsv"), 0, 'it is the same');

command_fails_like([ $skips, '--sessions', 'many' ], qr/--sessions: not a number/, 'bad number');
command_fails_like([ $skips, '--length', 5 ], qr/--length: neither 0 nor from 10/, 'bad length');
command_fails_like([ $skips, '--start', 'July' ], qr/--start: not a date/, 'bad date');
command_fails_like([ $skips, '--folder', "$dir/none" ], qr/No such file/, 'bad folder');
command_fails_like([ $skips, '--nonsense' ], qr/usage:/, 'bad option');
command_like([ $skips, '--help' ], qr/--truth FILE/, 'help');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# load(database, psql option...): a database of its own, with what the loader finds or makes.
sub load
{
	my ($database, @options) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database")
	  unless $node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = '$database'");
	$node->safe_psql($database, 'CREATE EXTENSION IF NOT EXISTS sessionlen');
	$node->command_ok(
		[
			'psql', '-X', '-q', '-d', $database, @options,
			'-f', "$top/doc/examples/load_skips.sql"
		],
		"load into database $database");
}

sub query
{
	return $node->safe_psql(@_);
}

my $counts = 'SELECT (SELECT count(*) FROM plays), (SELECT count(*) FROM tracks),'
  . ' (SELECT count(*) FROM skip_truth), (SELECT count(*) FROM playlists), (SELECT count(*) FROM rejects)';

load('log', '-v', "folder=$log");
my $before = query('log', $counts);
like($before, qr/^\d{4}\|333\|\d{4}\|333\|0$/, 'rows of each kind');
load('log', '-v', "folder=$log");
is(query('log', $counts), $before, 'loading again adds nothing');
is(query('log', 'SELECT count(DISTINCT session_id), min(date), max(date) FROM plays'),
	'400|2018-07-15|2018-07-16', 'sessions and days');

# Made on the fly, in the project's folder.
chdir $top or die;
load('fly', '-v', 'options=--sessions 400 --days 2 --tracks 333 --seed 3');
is(query('fly', $counts), $before, 'made on the fly: the same rows');
is( query('fly', q{SELECT md5(string_agg(p::text, '' ORDER BY session_id, session_position)) FROM plays p}),
	query('log', q{SELECT md5(string_agg(p::text, '' ORDER BY session_id, session_position)) FROM plays p}),
	'and the same plays');

# ---- the statistics, on more sessions ----

my $large = generate('large', '--sessions', 30000, '--seed', 11, '--users', 500,
	'--members', "$dir/members.tsv");
load('large', '-v', "folder=$large");

is( query('large', q{
	WITH published (length, millions) AS (
		VALUES (10, 11.0), (11, 9.6), (12, 8.4), (13, 7.3), (14, 6.5), (15, 5.7), (16, 5.0),
			   (17, 4.4), (18, 3.9), (19, 3.5), (20, 59.6)),
	share AS (
		SELECT length, millions / 124.9 AS p, (SELECT count(DISTINCT session_id) FROM plays) AS n,
			   (SELECT count(*) FROM plays
				 WHERE session_position = 1 AND session_length = length) AS sessions
		  FROM published)
	SELECT sum(sessions), bool_and(abs(sessions - n * p) < 4 * sqrt(n * p * (1 - p)))
	  FROM share}),
	'30000|t', 'the published lengths');
is( query('large', q{
	SELECT bool_and(n = session_length AND first = 1 AND last = session_length)
	  FROM (SELECT session_id, session_length, count(*) AS n, min(session_position) AS first,
				   max(session_position) AS last
			  FROM plays GROUP BY 1, 2) s}),
	't', 'sessions have all their positions');
is( query('large', q{
	SELECT abs(avg(skip_2::int) - 0.5) < 0.03, abs(avg(skip_1::int) - 0.24) < 0.02,
		   bool_and((NOT skip_1 OR skip_2) AND (NOT skip_2 OR skip_3) AND skip_3 <> not_skipped),
		   bool_and(no_pause_before_play <> short_pause_before_play
					AND (NOT long_pause_before_play OR short_pause_before_play)),
		   bool_and(CASE WHEN hist_user_behavior_reason_end = 'trackdone' THEN not_skipped
						 WHEN hist_user_behavior_reason_end = 'fwdbtn' THEN skip_3 ELSE true END)
	  FROM plays}),
	't|t|t|t|t', 'skips of each kind, and what agrees with them');
is( query('large', q{
	SELECT bool_and(hist_user_behavior_reason_start = ended)
	  FROM (SELECT hist_user_behavior_reason_start, lag(hist_user_behavior_reason_end) OVER
					   (PARTITION BY session_id ORDER BY session_position) AS ended FROM plays) s
	 WHERE ended IN ('trackdone', 'fwdbtn', 'backbtn')}),
	't', 'a track starts as the one before it ended');
is( query('large', q{
	SELECT count(*) FROM plays LEFT JOIN tracks USING (track_id) WHERE duration IS NULL}),
	'0', 'every track has its features');
is( query('large', q{
	SELECT abs(corr(energy, loudness)) > 0.7, min(energy) >= 0 AND max(energy) <= 1,
		   bool_and(mode IN ('major', 'minor')), count(DISTINCT key) = 12
	  FROM tracks}),
	't|t|t|t', 'features are plausible');

# Popular tracks, and neighbours that can be guessed.
is( query('large', q{
	WITH n AS (SELECT track_id, count(*) AS n FROM plays GROUP BY 1 ORDER BY n DESC)
	SELECT (SELECT sum(n) FROM (SELECT n FROM n LIMIT 250) top) > 0.4 * sum(n) FROM n}),
	't', 'a tenth of the tracks has nearly half of the plays');
is( query('large', q{
	SELECT avg((n.playlist = l.playlist)::int) > 0.9,
		   avg((n.place = l.place % 25 + 1)::int) FILTER (WHERE NOT hist_user_behavior_is_shuffle) > 0.8,
		   avg((n.place = l.place % 25 + 1)::int) FILTER (WHERE hist_user_behavior_is_shuffle) < 0.1,
		   bool_and(context_switch OR n.playlist = l.playlist)
	  FROM (SELECT *, lag(track_id) OVER (PARTITION BY session_id ORDER BY session_position) AS before
			  FROM plays) p
	  JOIN playlists n USING (track_id) JOIN playlists l ON l.track_id = before}),
	't|t|t|t', 'what follows is of the same playlist, in order unless shuffled');
my %members = map { split /[\t\n]/ } split /^/, slurp_file("$dir/members.tsv");
is(scalar keys %members, 30000, 'every session has a user');
is(scalar keys %{ { reverse %members } }, 500, 'every user has sessions');

# ---- the best answers ----

is( query('large', q{
	SELECT count(*) = sum((skip_2 = skipped)::int),
		   count(*) = (SELECT count(*) FROM plays WHERE session_position * 2 > session_length)
	  FROM skip_truth JOIN plays USING (session_id, session_position)
	 WHERE session_position * 2 > session_length}),
	't|t', 'the second half, the larger one of an odd length, with what happened');

# A skip of probability p is one in p of the cases, whatever came before.
for my $group (
	[ 'all positions', 'true' ],
	[ 'first positions', 'session_position = session_length / 2 + 1' ],
	[ 'last positions', 'session_position = session_length' ],
	[ 'short sessions', 'session_length < 15' ],
	[ 'after a skip', 'last_skip' ],
	[ 'loud tracks', 'energy > 0.7' ],
	[ 'quiet sad tracks', 'energy < 0.4 AND valence < 0.4' ],
	[ 'popular playlists', 'playlist <= 3' ],
	[ 'radio', "context_type = 'radio'" ],
	[ 'shuffled sessions', 'hist_user_behavior_is_shuffle' ])
{
	my ($what, $condition) = @$group;
	# Skips of one session go together, so the sum of ten may be ten times as far off.
	my $together = $what eq 'first positions' ? 1 : 10;

	is( query('large', qq{
		WITH seen AS (
			SELECT *, max(skip_2::int) FILTER (WHERE session_position = session_length / 2)
						  OVER (PARTITION BY session_id) = 1 AS last_skip
			  FROM plays JOIN tracks USING (track_id) JOIN playlists USING (track_id)),
		bins AS (
			SELECT width_bucket(probability, 0, 1, 10) AS bin, count(*) AS n,
				   sum(skipped::int - probability) AS off,
				   sum(probability * (1 - probability)) AS variance
			  FROM seen JOIN skip_truth USING (session_id, session_position)
			 WHERE $condition GROUP BY bin)
		SELECT count(*) > 5, bool_and(abs(off) < 4 * sqrt($together * variance) + 1) FROM bins}),
		't|t', "probabilities are calibrated: $what");
}

my $scores = query('large', q{
	WITH seen AS (
		SELECT session_id, session_position, skip_2, session_length,
			   max(skip_2::int) FILTER (WHERE session_position = session_length / 2)
				   OVER (PARTITION BY session_id) = 1 AS last_skip
		  FROM plays),
	aa AS (
		SELECT session_id, max(expected_aa) AS expected,
			   sessionlen.average_accuracy(skip_2::int, ideal::int, session_position) AS ideal,
			   sessionlen.average_accuracy(skip_2::int, (probability >= 0.5)::int, session_position) AS likelier,
			   sessionlen.average_accuracy(skip_2::int, last_skip::int, session_position) AS last_state,
			   sessionlen.average_accuracy(skip_2::int, 1, session_position) AS all_skip
		  FROM seen JOIN skip_truth USING (session_id, session_position) GROUP BY session_id)
	SELECT avg(ideal), avg(expected), stddev(ideal - expected) / sqrt(count(*)), avg(likelier),
		   avg(last_state), avg(all_skip)
	  FROM aa});
my ($ideal, $expected, $error, $likelier, $last_state, $all_skip) = split /\|/, $scores;
my ($printed) = `$skips --sessions 30000 --seed 11 --users 500 2>&1` =~ /ideal (\S+)/;

note sprintf 'MAA: ideal %.4f, expected %.4f, likelier outcomes %.4f, last skip state %.4f, all skip %.4f',
  $ideal, $expected, $likelier, $last_state, $all_skip;
is(sprintf('%.4f', $ideal), $printed, 'the score by SQL is that of the generator');
cmp_ok(abs($ideal - $expected), '<', 4 * $error, 'the score is the expected one');
cmp_ok($likelier, '<', $ideal, 'the likelier outcomes are not the best answer');
cmp_ok($last_state, '<', $ideal - 0.08, 'the last skip state is far from it');
cmp_ok($all_skip, '<', $last_state - 0.1, 'all skip is further');

# The tracks' own effect, which the best answer knows.
my ($with) = `$skips --sessions 30000 --appeal 1 2>&1` =~ /expected (\S+);/;
my ($score) = `$skips --sessions 30000 --appeal 1 2>&1` =~ /ideal (\S+)/;
cmp_ok(abs($score - $with), '<', 0.008, 'with tracks of appeal the score is the expected one');

$node->stop;
done_testing();
