# Planted clusters of users: the generator writes them down, k-means finds them in profiles
# of the training rows, and a network for each of them predicts.

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
			map { ("--$_", "$dir/$name/$_.tsv") } qw(plays profiles truth members)
		],
		"generate $name");
	return "$dir/$name";
}

my $plain = generate('plain', '--users', 30);
my $one = generate('one', '--users', 30, '--clusters', 1);
my $few = generate('few', '--users', 30, '--clusters', 4);
is(compare("$plain/$_.tsv", "$one/$_.tsv"), 0, "one cluster is none: the same $_")
  for qw(plays profiles truth members);
unlike(slurp_file("$one/members.tsv"), qr/\t[^0]/, 'all users are in the one cluster');
isnt(compare("$one/truth.tsv", "$few/truth.tsv"), 0, 'with clusters the lengths are others');
command_fails_like([ $listening, '--clusters', $_ ], qr/--clusters: not a number from 1 to 8/,
	"$_ clusters")
  for 0, 9, 'some';

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

sub load
{
	my ($folder) = @_;

	$node->command_ok(
		[
			'psql', '-X', '-q', '-v', 'clusters=4', '-v', "folder=$folder",
			'-f', "$top/doc/examples/load_listening.sql", 'postgres'
		],
		'load the log');
}

my $log = generate('log', '--users', 400, '--clusters', 4, '--seed', 5);
$node->safe_psql('postgres', 'CREATE EXTENSION sessionlen');
load($log);
load($log);
is( $node->safe_psql('postgres', q{
	SELECT count(*), count(DISTINCT user_id), min(cluster), max(cluster), min(n) > 60
	  FROM (SELECT *, count(*) OVER (PARTITION BY cluster) AS n FROM members) m}),
	'400|400|0|3|t', 'every user once in one of four clusters of about the same size');

is( $node->safe_psql('postgres', q{
	WITH hits AS (
		SELECT cluster, p, avg((session_length < bound)::int) AS hit, count(*) AS n
		  FROM truth JOIN members USING (user_id),
			   LATERAL (VALUES (0.1, ideal_low), (0.5, ideal), (0.9, ideal_high)) AS q (p, bound)
		 GROUP BY cluster, p)
	SELECT count(*), bool_and(n > 3000), bool_and(abs(hit - p) < 4 * sqrt(p * (1 - p) / n))
	  FROM hits}),
	'12|t|t', 'the quantiles of the ideal are calibrated in each cluster');

# The benchmark, only shorter, with the models left there.
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'epochs=3', '-v', 'keep=1', '-f', "$top/bench/planted.sql", 'postgres' ],
	'the benchmark runs');

# Profiles see training rows only: with the held-out ones they make up the log.
is( $node->safe_psql('postgres', q{
	WITH held_out AS (
		SELECT partition_key, order_key::timestamptz AS at, part
		  FROM unnest('{test,validation}'::text[]) p, sessionlen.predictions('planted_all', part => p)),
	split AS (
		SELECT h.part, sessionlen.split_part(user_id) = 'train'
			   OR session_number <= ceil(count(*) OVER (PARTITION BY user_id) * 0.5) AS training
		  FROM listening_sessions s
		  LEFT JOIN held_out h ON h.partition_key = s.user_id AND h.at = s.session_start)
	SELECT count(DISTINCT part), bool_and(training = (part IS NULL)) FROM split}),
	'2|t', 'profiles are of the training rows');

is( $node->safe_psql('postgres', q{
	WITH cell AS (
		SELECT m.cluster AS a, l.cluster AS b, count(*)::float8 AS n
		  FROM members m JOIN sessionlen.cluster_labels l ON l.key = m.user_id
		 WHERE l.name = 'planted' GROUP BY 1, 2),
	pairs AS (
		SELECT sum(n * (n - 1) / 2) AS shared,
			   (SELECT sum(s * (s - 1) / 2) FROM (SELECT sum(n) AS s FROM cell GROUP BY a) x) AS a,
			   (SELECT sum(s * (s - 1) / 2) FROM (SELECT sum(n) AS s FROM cell GROUP BY b) x) AS b,
			   sum(n) * (sum(n) - 1) / 2 AS every, sum(n) AS users
		  FROM cell)
	SELECT users, (shared - a * b / every) / ((a + b) / 2 - a * b / every) >= 0.95 FROM pairs}),
	'400|t', 'k-means finds the planted clusters');

is( $node->safe_psql('postgres', q{
	SELECT count(*), min(sequences) > 60 FROM sessionlen.cluster_networks WHERE model = 'planted_each'}),
	'4|t', 'each cluster has a network');
my $score = $node->safe_psql('postgres', q{
	SELECT normalized_mae FROM sessionlen.evaluate('planted_each')
	 WHERE predictor = 'model' AND cluster IS NULL});
cmp_ok($score, '<', 0.9, 'together they beat the mean of each user');
is( $node->safe_psql('postgres', q{
	SELECT count(*), bool_and(normalized_mae < 1) FROM sessionlen.evaluate('planted_each')
	 WHERE predictor = 'model' AND cluster IS NOT NULL}),
	'4|t', 'and each does on its own');

# The ideal that knows the cluster is below: by users, as rows of one user resemble each other.
is( $node->safe_psql('postgres', q{
	WITH u AS (
		SELECT partition_key, count(*) AS n, sum(abs(actual - prediction) - abs(actual - ideal)) AS d
		  FROM sessionlen.predictions('planted_each') p
		  JOIN truth t ON t.user_id = p.partition_key AND t.session_start = p.order_key::timestamptz
		 GROUP BY 1), m AS (SELECT sum(d) / sum(n) AS mean FROM u)
	SELECT count(*) > 20, min(mean) > -4 * sqrt(sum((d - mean * n) ^ 2)) / sum(n) FROM u, m}),
	't|t', 'no network is better than the ideal');

$node->stop;
done_testing();
