# Training by several processes: the same weights whatever their number, and a clean end
# however it ends.

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use Workers;

my $node = new_server();
$node->safe_psql('postgres', q{
CREATE EXTENSION sessionlen;
CREATE TABLE plays AS SELECT i % 600 AS u, i / 600 AS n, sin(i * 0.37) AS a, (i * 7919 % 13)::text AS g, cos(i * 0.21) AS y, i % 11 = 0 AS open
	FROM generate_series(0, 600 * 8 - 1) i;
CREATE FUNCTION learnt(name text) RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(name || chunk || data::text, ',' ORDER BY name, chunk))
		|| (SELECT md5(string_agg(concat_ws(',', epoch, training_loss, validation_loss, validation_mae, gradient_norm), ';' ORDER BY epoch))
			FROM sessionlen.training_log l JOIN sessionlen.models m USING (model) WHERE l.version = m.deployed AND model = learnt.name)
	FROM sessionlen.weights w JOIN sessionlen.models m USING (model) WHERE w.version = m.deployed AND model = learnt.name
$$;
});

sub train
{
	my ($model, $options) = @_;

	return qq{SELECT sessionlen.train('$model', 'plays', 'y', 'u', 'n', known => '{a,g}', censored => 'open',
		options => '{"verbose": false, "batch_size": 512, "hidden_dim": 24, "epochs": 2, $options}')};
}

# What a training says, and what it has learnt.
sub outcome
{
	my ($options, $before) = @_;
	my ($out, $err);

	$node->psql('postgres', ($before // '') . train('model', $options) . ' IS NULL',
		stdout => \$out, stderr => \$err);
	return ($err // '', $out eq 'f' ? $node->safe_psql('postgres', q{SELECT learnt('model')}) : 'failed');
}

# ---- the same bits ----

my %network = (
	'lstm' => '"architecture": "lstm"',
	'gru' => '"architecture": "gru", "optimizer": "nadam"',
	'dropout' => '"architecture": "lstm", "dropout": 0.3, "recurrent_dropout": 0.2',
	'two layers' => '"architecture": "gru", "hidden_dim": [20, 16], "sequence_length": 3',
	'rows alone' => '"architecture": "lstm", "hidden_dim": 160, "sequence_length": 1',
	'embeddings' => '"columns": {"g": {"embedding": 5}}',
	'many weights' => '"hidden_dim": 160, "patience": 1');

for my $what (sort keys %network)
{
	my (undef, $alone) = outcome("$network{$what}, \"workers\": 1");

	isnt($alone, 'failed', "$what, 1 process");
	for my $workers (2, 3)
	{
		my ($err, $weights) = outcome("$network{$what}, \"workers\": $workers");

		is($weights, $alone, "$what, $workers processes: the same weights and log");
		is($err, '', "$what, $workers processes: no word about it");
	}
}
is((outcome($network{lstm}))[1], (outcome("$network{lstm}, \"workers\": 1"))[1], 'the number chosen by itself');

my @binary = map { $node->safe_psql('postgres', qq{
	SELECT sessionlen.train('skips', 'SELECT u, n, g, y > 0 AS skipped FROM plays', 'skipped', 'u', 'n', item => 'g', task => 'binary',
		options => '{"verbose": false, "batch_size": 512, "hidden_dim": 24, "epochs": 2, "workers": $_}') IS NULL;
	SELECT learnt('skips')}) } 1 .. 3;
is($binary[1], $binary[0], 'a binary task over items, 2 processes');
is($binary[2], $binary[0], 'a binary task over items, 3 processes');
ok(wait_for_workers($node, 0), 'workers end with their training');

# ---- fewer than asked for ----

my (undef, $lstm) = outcome($network{lstm});
my ($err, $weights) = outcome("$network{lstm}, \"workers\": 3", 'SET sessionlen.max_workers = 2;');
like($err, qr/NOTICE:  training with 2 of 3 workers\nDETAIL:  sessionlen.max_workers is 2\./, 'capped by the setting');
is($weights, $lstm, 'with the same weights');
($err, $weights) = outcome("$network{lstm}, \"batch_size\": 256, \"workers\": 9", 'SET sessionlen.max_workers = 16;');
like($err, qr/NOTICE:  training with 4 of 9 workers\nDETAIL:  A step of 256 sequences has work for 4\./, 'no more than there are shards');
is($weights, (outcome("$network{lstm}, \"batch_size\": 256, \"workers\": 1"))[1], 'with the same weights');
($err) = outcome('"batch_size": 32, "workers": 2');
like($err, qr/NOTICE:  training with 1 of 2 workers\nDETAIL:  A step of 32 sequences has work for 1\./, 'a step too small to share');

# memory for one, not for more
my $wide = '"architecture": "lstm", "hidden_dim": 160, "workers": 4';
my $limit = 1024;
my (undef, $wide_weights) = outcome($wide);
($err, $weights) = ('', 'failed');
for (; $weights eq 'failed' && $limit < 1_000_000; $limit = int($limit * 1.1))
{
	($err, $weights) = outcome($wide, "SET sessionlen.memory_limit = $limit;");
}
like($err, qr/NOTICE:  training with 1 of 4 workers\nDETAIL:  More would need more than sessionlen.memory_limit\./, 'memory for one process');
is($weights, $wide_weights, 'with the same weights');

$node->append_conf('postgresql.conf', 'max_worker_processes = 2'); # the logical replication launcher has one
$node->restart;
($err, $weights) = outcome("$network{lstm}, \"workers\": 3");
like($err, qr/NOTICE:  training goes on with 2 of 3 workers\nDETAIL:  No slot for a background worker is free\.\nHINT:  Raise max_worker_processes/, 'few slots');
is($weights, $lstm, 'with the same weights');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
($err, $weights) = outcome("$network{lstm}, \"workers\": 3");
like($err, qr/NOTICE:  training goes on with 1 of 3 workers/, 'no slot');
is($weights, $lstm, 'with the same weights');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nmin_dynamic_shared_memory = 64MB");
$node->restart;
($err, $weights) = outcome("$network{lstm}, \"workers\": 3");
is($err . $weights, $lstm, 'in memory that was used before');
$node->append_conf('postgresql.conf', 'min_dynamic_shared_memory = 0');
$node->restart;

# ---- no shared memory ----

# Files, and segments with them, of at most 64 MB.
$node->stop;
system_or_bail('bash', '-c', 'ulimit -f 65536 && exec pg_ctl -w -s -D "$0" -l "$1" start', $node->data_dir, $node->logfile);
$node->_update_pid(1);
($err, $weights) = outcome('"architecture": "lstm", "hidden_dim": 1000, "epochs": 1, "time_limit": 0.001, "workers": 2');
like($err, qr/NOTICE:  training goes on with 1 of 2 workers\nDETAIL:  Could not resize shared memory segment/, 'no shared memory');
isnt($weights, 'failed', 'is no error');
$node->restart;

# ---- ends ----

my $segments = segments($node);
my $long = train('model', '"epochs": 1000000, "hidden_dim": 64, "workers": 3');
my $state = q{SELECT learnt('model')};
my $before = $node->safe_psql('postgres', $state);

sub start_long
{
	my ($out, $err) = @_;
	my $psql = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres') . ' application_name=victim',
			'-c', $_[2] // $long, '-c', $state ], '>', $out, '2>', $err);

	ok(wait_for_workers($node, 2), 'workers are there');
	return $psql;
}

for my $how ('cancel', 'terminate')
{
	check_interrupt($node, $how, \&start_long, "$before\n", $segments);
	is($node->safe_psql('postgres', $state), $before, "$how: nothing has changed");
}

# An error of its own.
{
	my ($out, $err) = outcome('"learning_rate": 1000, "optimizer": "sgd", "clip_norm": 0, "epochs": 100, "hidden_dim": 64, "loss": "mse", "workers": 3');

	like($out, qr/ERROR:  training diverged/, 'divergence is an error');
	ok(wait_for_workers($node, 0), 'workers end');
	is(segments($node), $segments, 'no segment is left');
}

# Workers that are told to end: the leader does their work.
{
	my ($out, $err) = ('', '');
	my $options = '"epochs": 150, "hidden_dim": 64';
	my $psql = start_long(\$out, \$err, train('model', "$options, \"workers\": 3"));
	my @pids = worker_pids($node);

	kill 'TERM', @pids;
	$psql->finish;
	is(() = $err =~ /NOTICE:  a training worker has ended early\nDETAIL:  The other processes do its work; the result is the same\./g, 2, 'their end is told');
	unlike($err, qr/ERROR/, 'and no error');
	my $alone = (outcome("$options, \"workers\": 1"))[1];
	like($out, qr/^\(model,.*\)\n\Q$alone\E\n$/, 'the weights are the same');
	ok(wait_for_workers($node, 0), 'workers end');
	is(segments($node), $segments, 'no segment is left');
	like(slurp_file($node->logfile), qr/terminating background worker "sessionlen worker" due to administrator command/, 'the log tells why');
}

# The server is shut down.
{
	my ($out, $err) = ('', '');
	my $psql = start_long(\$out, \$err);

	$node->stop('fast');
	$psql->finish;
	like($err, qr/terminating connection due to administrator command/, 'shut down');
	$node->start;
	is($node->safe_psql('postgres', $state), $before = $node->safe_psql('postgres', $state), 'and up again');
}

# A worker crashes: the server restarts all its processes, as for any of them.
{
	my ($out, $err) = ('', '');
	my $psql = start_long(\$out, \$err);
	my @pids = worker_pids($node);

	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->reload;
	kill 'KILL', $pids[0];
	$psql->finish;
	like($err, qr/terminating connection because of crash of another server process|server closed the connection unexpectedly/, 'a crash');
	$node->poll_query_until('postgres', 'SELECT true');
	ok(wait_for_workers($node, 0), 'workers end');
	is($node->safe_psql('postgres', $state), $before, 'the server goes on');
	is((outcome("$network{lstm}, \"workers\": 3"))[1], $lstm, 'and trains');
	is(segments($node), $segments, 'no segment is left');
}

# The postmaster is gone: everything ends.
{
	my ($out, $err) = ('', '');
	my $psql = start_long(\$out, \$err);
	my @pids = worker_pids($node);
	my $postmaster = $node->safe_psql('postgres', q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});
	my ($leader) = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'});

	kill 'KILL', $postmaster;
	$psql->finish;
	isnt($err, '', 'without a postmaster');
	my $left = 0;
	for (1 .. 600)
	{
		$left = grep { kill 0, $_ } @pids, $leader;
		last if !$left;
		usleep(100_000);
	}
	is($left, 0, 'workers and leader end');
	$node->{_pid} = undef;
	$node->start;
	is((outcome("$network{lstm}, \"workers\": 3"))[1], $lstm, 'and are back with a new one');
}

$node->stop;
done_testing();
