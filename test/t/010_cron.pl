# A job of pg_cron retrains a model; a session that was opened before and has predicted
# with the old version then predicts with the new one.

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $sharedir = `pg_config --sharedir`);
plan skip_all => 'pg_cron is not installed'
  unless -f "$sharedir/extension/pg_cron.control";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
max_worker_processes = 20
});
$node->start;

$node->safe_psql('postgres', q{
CREATE EXTENSION pg_cron;
CREATE EXTENSION sessionlen;
CREATE TABLE daily AS
SELECT u AS user_id, timestamptz '2024-01-01' + n * interval '1 day' AS session_start,
	   600.0::float8 * u + 60 * n AS previous_session_length,
	   600.0::float8 * u + 60 * (n + 1) AS session_length
FROM generate_series(1, 40) u, generate_series(1, 12) n;
});

# The statement the job runs; its options differ from those of the first version.
sub train
{
	my ($seed) = @_;

	return qq{SELECT * FROM sessionlen.train('nightly', 'daily', 'session_length', 'user_id',
		'session_start', known => '{previous_session_length}',
		options => '{"hidden_dim": 8, "epochs": 2, "seed": $seed}')};
}

my $predict = q{SELECT round(sum(p)::numeric, 6) FROM (
	SELECT sessionlen.predict('nightly', d) OVER (PARTITION BY user_id ORDER BY session_start) AS p
	FROM daily d) q};
my $serving = q{SELECT deployed FROM sessionlen.models WHERE model = 'nightly'};

$node->safe_psql('postgres', train(1));
is($node->safe_psql('postgres', $serving), '1', 'the first version serves');

# One session that stays open; ask() returns what a query prints in it.
my ($in, $out) = ('', '');
my $session = IPC::Run::start(
	[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out,
	IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

sub ask
{
	my ($query) = @_;

	$out = '';
	$in .= "$query;\n\\echo end of answer\n";
	$session->pump until $out =~ /^end of answer$/m;
	return $out =~ s/\n?end of answer\n//r;
}

my $pid = ask('SELECT pg_backend_pid()');
my $before = ask($predict);
like($before, qr/^-?\d+\.\d+$/, 'the open session predicts');
is(ask($predict), $before, 'the same version: the same prediction');

# Schedules have minutes, so this waits up to one.
my $job = $node->safe_psql('postgres',
	"SELECT cron.schedule('retrain', '* * * * *', \$\$" . train(2) . '$$)');
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) > 0 FROM cron.job_run_details
		 WHERE jobid = $job AND status IN ('succeeded', 'failed')"),
	'the job has run');
$node->safe_psql('postgres', "SELECT cron.unschedule('retrain')");
ok( $node->poll_query_until(
		'postgres',
		"SELECT count(*) = 0 FROM cron.job_run_details
		 WHERE jobid = $job AND status NOT IN ('succeeded', 'failed')"),
	'and runs no more');

like(
	$node->safe_psql(
		'postgres',
		"SELECT DISTINCT status, return_message FROM cron.job_run_details WHERE jobid = $job"),
	qr/^succeeded\|(SELECT 1|1 row)$/, 'it returned one row');
cmp_ok($node->safe_psql('postgres', $serving), '>=', 2, 'a new version serves');

my $after = ask($predict);
isnt($after, $before, 'the open session predicts something new');
is($after, $node->safe_psql('postgres', $predict), 'namely what a new session predicts');
is(ask('SELECT pg_backend_pid()'), $pid, 'in the backend it began with');

$node->safe_psql('postgres', q{SELECT sessionlen.deploy('nightly', 1)});
is(ask($predict), $before, 'the first version, deployed again, predicts what it did');

$in .= "\\q\n";
$session->finish;
$node->stop;
done_testing();
