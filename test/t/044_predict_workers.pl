# Predictions of tables by several processes: the same bits whatever their number, and a
# clean end however they end.

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Workers;

my $node = new_server();
$node->safe_psql('postgres', q{
CREATE EXTENSION sessionlen;
CREATE TABLE plays AS SELECT i % 1000 AS u, i / 1000 AS n, sin(i * 0.37) AS a, (i * 7919 % 13)::text AS g, i % 3 = 0 AS skipped, cos(i * 0.21) AS y
	FROM generate_series(0, 1000 * 20 - 1) i;
-- sequences of many lengths, in more than two buffers
CREATE VIEW many AS SELECT 1000 * k + u AS u, n, a, g, skipped, y FROM plays, generate_series(1, 12) k WHERE n < 5 + (u + k) % 16 OR u = 3;
-- so much that there is time to look at it
CREATE VIEW endless AS SELECT 1000 * k + u AS u, n, a, g, skipped, y FROM plays, generate_series(1, 60) k;
SELECT sessionlen.cluster('kinds', 'SELECT u, avg(a) AS a FROM plays GROUP BY u', 'u', '{a}', k => 2, options => '{"seed": 1, "n_init": 1}');
});

sub train
{
	my ($name, $source, $target, $roles, $options) = @_;

	$node->safe_psql('postgres', qq{SELECT sessionlen.train('$name', '$source', '$target', 'u', 'n', $roles,
		options => '{"verbose": false, "hidden_dim": 180, "epochs": 1, "workers": 1, $options}')});
}

my $some = 'SELECT * FROM plays WHERE u < 100';
train('lstm', $some, 'y', q(known => '{a,g}'), '"architecture": "lstm"');
train('gru', $some, 'y', q(known => '{a,g}'), '"architecture": "gru", "columns": {"g": {"embedding": 5}}');
train('rows', $some, 'y', q(known => '{a,g}'), '"architecture": "lstm", "sequence_length": 1');
train('quantiles', $some, 'y', q(known => '{a,g}'), '"architecture": "gru", "loss": "quantile", "quantiles": [0.2, 0.5]');
train('skips', $some, 'skipped', q(known => '{a}', item => 'g', task => 'skip'), '"architecture": "encoder_decoder"');
train('clusters', 'plays', 'y', q(known => '{a,g}', clusters => 'kinds'), '"architecture": "lstm"');

# What a table's predictions are and in which order they come, and what is said of it.
sub predicted
{
	my ($name, $workers, $source, $before) = @_;
	my ($out, $err);

	$source //= 'many';
	$node->psql('postgres', ($before // '') . qq{SET client_min_messages = debug1; SET sessionlen.max_workers = $workers;
		SELECT count(*), md5(string_agg(p::text, ';')) FROM sessionlen.predict_table('$name', '$source') p},
		stdout => \$out, stderr => \$err);
	return ($out, $err // '');
}

sub evaluated
{
	my ($name, $workers) = @_;

	return $node->safe_psql('postgres', qq{SET sessionlen.max_workers = $workers;
		SELECT count(*), md5(string_agg(p::text, ';')) FROM sessionlen.predictions('$name', 'many', part => 'all') p});
}

# ---- the same bits ----

for my $name ('lstm', 'gru', 'rows', 'quantiles', 'skips', 'clusters')
{
	my ($alone) = predicted($name, 1);

	like($alone, qr/^\d{6}\|\w{32}$/, "$name, 1 process");
	for my $workers (2, 3)
	{
		my ($out, $err) = predicted($name, $workers);

		is($out, $alone, "$name, $workers processes: the same predictions in the same order");
		unlike($err, qr{DEBUG|ERROR}, "$name, $workers processes: no word about it");
	}
}
is(evaluated('clusters', 3), evaluated('clusters', 1), 'predictions() of networks of clusters');
is($node->safe_psql('postgres', q{SET sessionlen.max_workers = 3; SELECT md5(string_agg(e::text, ';')) FROM sessionlen.evaluate('skips', 'many', part => 'all') e}),
	$node->safe_psql('postgres', q{SET sessionlen.max_workers = 1; SELECT md5(string_agg(e::text, ';')) FROM sessionlen.evaluate('skips', 'many', part => 'all') e}),
	'evaluate()');
ok(wait_for_workers($node, 0), 'workers end with their statement');

# ---- who comes ----

my $lines = sub { return scalar(() = slurp_file($node->logfile) =~ /sessionlen worker for PID/g) };

$node->append_conf('postgresql.conf', 'log_min_messages = debug1');
$node->restart;
my $before = $lines->();
predicted('lstm', 3, 'SELECT * FROM plays WHERE u < 20');
is($lines->(), $before, 'nobody is called for a small table');
my ($lstm) = predicted('lstm', 3);
cmp_ok($lines->(), '>', $before, 'but for a large one');
$before = $lines->();
predicted('lstm', 1);
is($lines->(), $before, 'unless the setting says so');

# memory for one, not for more
my ($out, $err, $limit) = ('', '', 1024);
for (; $out eq '' && $limit < 1_000_000; $limit = int($limit * 1.2))
{
	($out, $err) = predicted('lstm', 3, undef, "SET sessionlen.memory_limit = $limit; ");
	like($err, qr/ERROR:  .*sessionlen.memory_limit/, 'memory for none') if $limit == 1024;
}
like($out, qr/^150146\|/, 'memory for one process is enough');
is($lines->(), $before, 'and calls nobody');

$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
($out, $err) = predicted('lstm', 3);
is($out, $lstm, 'no slot for a worker: the same predictions');
like($err, qr/DEBUG:  prediction goes on with 1 of \d workers/, 'which is told to who wants to know');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nmin_dynamic_shared_memory = 64MB");
$node->restart;
is((predicted('lstm', 3))[0], $lstm, 'in memory that was used before');
$node->append_conf('postgresql.conf', 'min_dynamic_shared_memory = 0');
$node->restart;

# No segment can be made.
my $directory = $node->data_dir . '/pg_dynshmem';

chmod 0500, $directory or die;
($out, $err) = predicted('lstm', 3);
chmod 0700, $directory or die;
is($out, $lstm, 'no shared memory: the same predictions');
like($err, qr/DEBUG:  prediction goes on with 1 of \d workers\n.*DETAIL:  Could not/s, 'which is told likewise');

# The function runs in the leader of a parallel query; its workers call nobody.
is($node->safe_psql('postgres', q{SET sessionlen.max_workers = 3; SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SELECT count(*), md5(string_agg(p::text, ';')) FROM sessionlen.predict_table('lstm', 'many') p}), $lstm, 'in a parallel query');

# ---- ends ----

my $segments = segments($node);
my $long = q{SET sessionlen.max_workers = 3; SELECT count(*), md5(string_agg(p::text, ';')) FROM sessionlen.predict_table('lstm', 'endless') p};
my $after = 'SELECT 1';

sub start_long
{
	my ($out, $err) = @_;
	my $psql = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' application_name=victim',
			'-c', $long, '-c', $after ], '>', $out, '2>', $err);

	ok(wait_for_any_worker($node), 'workers are there');
	return $psql;
}

for my $how ('cancel', 'terminate')
{
	check_interrupt($node, $how, \&start_long, "1\n", $segments);
}

# Workers that are told to end: the leader does their work.
{
	my ($alone) = predicted('lstm', 1, 'endless');
	my ($out, $err) = ('', '');
	my $psql = start_long(\$out, \$err);

	kill 'TERM', worker_pids($node);
	$psql->finish;
	is($err, '', 'their end is no error');
	is($out, "$alone\n1\n", 'and the predictions are the same');
	ok(wait_for_workers($node, 0), 'workers end');
	is(segments($node), $segments, 'no segment is left');
}

# A worker crashes: the server restarts all its processes, as for any of them.
{
	my ($out, $err) = ('', '');
	my $psql = start_long(\$out, \$err);

	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->reload;
	kill 'KILL', (worker_pids($node))[0];
	$psql->finish;
	like($err, qr/terminating connection because of crash of another server process|server closed the connection unexpectedly/, 'a crash');
	$node->poll_query_until('postgres', 'SELECT true');
	ok(wait_for_workers($node, 0), 'workers end');
	is((predicted('lstm', 3))[0], $lstm, 'the server goes on');
	is(segments($node), $segments, 'no segment is left');
}

$node->stop;
done_testing();
