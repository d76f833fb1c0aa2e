# Whole networks trained side by side (clusters, searches): the same weights and log as one
# after the other, and a clean end however it ends.

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Workers;

my $node = new_server();
# five groups by level, 40 to 120 users each, and one that is too small
$node->safe_psql('postgres', q{
CREATE EXTENSION sessionlen;
CREATE TABLE plays AS SELECT u, n, sin(i * 0.37) AS a, (i * 7919 % 13)::text AS g, level * 10 + cos(i * 0.21) AS y, i % 11 = 0 AS open
	FROM generate_series(0, 410 * 8 - 1) i, LATERAL (SELECT i % 410 AS u, i / 410 AS n) k,
		LATERAL (SELECT width_bucket(u, ARRAY[40, 100, 180, 300, 400]) AS level) l;
CREATE VIEW users AS SELECT u, avg(y) AS level FROM plays GROUP BY u;
SELECT sessionlen.cluster('levels', 'users', 'u', '{level}', 6);
CREATE FUNCTION learnt(name text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ',
		(SELECT md5(string_agg(concat_ws(',', version, cluster, name, chunk, data::text), ';' ORDER BY version, cluster, name, chunk))
			FROM sessionlen.weights WHERE model = learnt.name),
		(SELECT md5(string_agg(concat_ws(',', version, cluster, epoch, training_loss, validation_loss, validation_mae, gradient_norm, row_count), ';'
				ORDER BY version, cluster, epoch)) || count(*)
			FROM sessionlen.training_log WHERE model = learnt.name),
		(SELECT md5(string_agg(concat_ws(',', version, epochs, best_epoch, training_loss), ';' ORDER BY version)) || count(*)
			FROM sessionlen.model_versions WHERE model = learnt.name),
		(SELECT md5(string_agg(concat_ws(',', version, step, mu_product, data::text), ';' ORDER BY version, moment, chunk)) FROM sessionlen.checkpoints WHERE model = learnt.name),
		(SELECT md5(string_agg(concat_ws(',', cluster, epochs, training_loss, options - 'workers', inputs, target_scale, sequences), ';' ORDER BY cluster)) || count(*)
			FROM sessionlen.cluster_networks WHERE model = learnt.name),
		(SELECT md5(string_agg(concat_ws(',', cluster, keys), ';' ORDER BY cluster)) FROM sessionlen.network_members WHERE model = learnt.name),
		(SELECT deployed FROM sessionlen.models WHERE model = learnt.name))
$$;
});

sub train
{
	my ($model, $options, $clusters) = @_;

	return qq{SELECT sessionlen.train('$model', 'plays', 'y', 'u', 'n', known => '{a,g}', censored => 'open',}
		. ($clusters ? "clusters => 'levels'," : '')
		. qq{ options => '{"verbose": false, "hidden_dim": 12, "epochs": 3, $options}')};
}

# What a training says, and what it has learnt.
sub outcome
{
	my ($options, $clusters, $before) = @_;
	my ($out, $err);

	$node->psql('postgres', "DELETE FROM sessionlen.models WHERE model = 'model'; " . ($before // '') . train('model', $options, $clusters) . ' IS NULL',
		stdout => \$out, stderr => \$err);
	return ($err // '', $out eq 'f' ? $node->safe_psql('postgres', q{SELECT learnt('model')}) : 'failed');
}

# ---- the same bits ----

my $by_cluster = '"by_cluster": {"1": {"epochs": 9, "architecture": "gru", "hidden_dim": [9, 7]}, "3": {"optimizer": "nadam", "dropout": 0.2, "patience": 1}}';
my %training = (
	'clusters' => [ '"architecture": "lstm"', 1 ],
	'clusters of their own options' => [ $by_cluster, 1 ],
	'clusters of rows alone' => [ '"sequence_length": 1, "batch_size": 512, "columns": {"g": {"embedding": 5}}', 1 ],
	'search' => [ '"search": {"architecture": ["gru", "lstm"], "dropout": [0, 0.3], "hidden_dim": [6, [9, 5]]}', 0 ],
	'search with shards' => [ '"batch_size": 400, "search": {"optimizer": ["adam", "nadam", "sgd"], "epochs": [1, 100]}', 0 ],
	'search with divergence' => [ '"loss": "mse", "clip_norm": 0, "optimizer": "sgd", "epochs": 100, "search": {"learning_rate": [0.001, 1000, 0.01, 900]}', 0 ]);
my %alone;

for my $what (sort keys %training)
{
	my ($options, $clusters) = @{ $training{$what} };
	my ($said, $alone) = outcome("$options, \"workers\": 1", $clusters);

	$alone{$what} = $alone;
	isnt($alone, 'failed', "$what, 1 process");
	is(() = $said =~ /WARNING:  search [24]\/4 diverged/g, $what =~ /divergence/ ? 2 : 0, "$what: what is said");
	for my $workers (2, 3)
	{
		my ($err, $learnt) = outcome("$options, \"workers\": $workers", $clusters);

		is($learnt, $alone, "$what, $workers processes: the same");
		is($err, $said, "$what, $workers processes: with the same words");
	}
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM sessionlen.clusterings WHERE name = 'levels'}), 1, 'there are clusters');
ok(wait_for_workers($node, 0), 'workers end with their training');

# They do work at the same time, and their epochs can be told apart.
{
	my ($err) = outcome('"workers": 3, "epochs": 2, "verbose": true', 1);

	like($err, qr/NOTICE:  cluster $_, epoch 2\/2: loss /, "cluster $_ is heard of") for 0 .. 3;
	($err) = outcome('"workers": 2, "verbose": true, "search": {"seed": [1, 2, 3]}', 0);
	like($err, qr/NOTICE:  search $_\/3, epoch 3\/3: loss /, "combination $_ is heard of") for 1 .. 3;
}

# Going on, cluster by cluster.
{
	my @learnt;

	for my $workers (1, 2)
	{
		outcome($training{clusters}[0], 1);
		$node->safe_psql('postgres', train('model', "$training{clusters}[0], \"warm_start\": true, \"workers\": $workers", 1));
		push @learnt, $node->safe_psql('postgres', q{SELECT learnt('model')});
	}
	is($learnt[1], $learnt[0], 'a warm start');
}

# ---- fewer than asked for ----

my ($search, $clusters) = map { $training{$_}[0] } 'search', 'clusters';
my ($err, $learnt) = outcome("$search, \"workers\": 3", 0, 'SET sessionlen.max_workers = 2;');
like($err, qr/NOTICE:  training with 2 of 3 workers\nDETAIL:  sessionlen.max_workers is 2\./, 'capped by the setting');
is($learnt, $alone{search}, 'with the same result');
($err) = outcome('"search": {"seed": [1, 2]}, "workers": 3', 0);
like($err, qr/NOTICE:  training with 2 of 3 workers\nDETAIL:  There are 2 networks to train\./, 'no more than there are networks');
($err, $learnt) = outcome("$clusters, \"workers\": 7", 1, 'SET sessionlen.max_workers = 3;');
like($err, qr/^\S* NOTICE:  training with 3 of 7 workers\nDETAIL:  sessionlen.max_workers is 3\.$/, 'clusters, capped by the setting: said once');
is($learnt, $alone{clusters}, 'with the same result');
($err) = outcome("$clusters, \"workers\": 7", 1, 'SET sessionlen.max_workers = 16;');
like($err, qr/^\S* NOTICE:  training with 5 of 7 workers\nDETAIL:  There are 5 networks to train\.$/, 'clusters, no more than there are networks: said once');

# Memory for all, for some at a time, for one at a time, and for none.
my %count;
for (my $limit = 1024; $limit < 40_000; $limit = int($limit * 1.15))
{
	($err, $learnt) = outcome("$search, \"workers\": 2", 0, "SET sessionlen.memory_limit = $limit;");
	$count{$learnt}++;
}
is_deeply([ grep { $_ ne 'failed' } keys %count ], [ $alone{search} ], 'the same result in any memory');
for (my $limit = 1024; $limit < 40_000; $limit = int($limit * 1.3))
{
	($err, $learnt) = outcome("$clusters, \"workers\": 2", 1, "SET sessionlen.memory_limit = $limit;");
	ok($learnt eq $alone{clusters} || $learnt eq 'failed', "clusters in $limit kB");
}
is($learnt, $alone{clusters}, 'clusters in much memory');

$node->append_conf('postgresql.conf', 'max_worker_processes = 2'); # the logical replication launcher has one
$node->restart;
($err, $learnt) = outcome("$clusters, \"workers\": 3", 1);
like($err, qr/NOTICE:  training goes on with 2 of 3 workers\nDETAIL:  No slot for a background worker is free\./, 'few slots');
is($learnt, $alone{clusters}, 'with the same result');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
($err, $learnt) = outcome("$search, \"workers\": 3", 0);
like($err, qr/NOTICE:  training goes on with 1 of 3 workers/, 'no slot');
is($learnt, $alone{search}, 'with the same result');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');

# No shared memory: files, and segments with them, of at most 64 MB.
$node->stop;
system_or_bail('bash', '-c', 'ulimit -f 65536 && exec pg_ctl -w -s -D "$0" -l "$1" start', $node->data_dir, $node->logfile);
$node->_update_pid(1);
{
	my ($out, $err);

	$node->psql('postgres', train('wide', '"architecture": "gru", "hidden_dim": 1030, "epochs": 1, "time_limit": 0.001, "search": {"seed": [1, 2]}, "workers": 2', 0)
		. q{ IS NULL; SELECT count(*) FROM sessionlen.model_versions WHERE model = 'wide'}, stdout => \$out, stderr => \$err);
	like($err, qr/NOTICE:  training goes on with 1 of 2 workers\nDETAIL:  Could not resize shared memory segment/, 'no shared memory');
	is($out, "f\n2", 'is no error');
}
$node->restart;

# ---- a time limit ----

# One for all clusters: each network has its first step at least.
($err, $learnt) = outcome('"epochs": 1000000, "time_limit": 2, "workers": 2', 1);
isnt($learnt, 'failed', 'a time limit');
is($node->safe_psql('postgres', q{
	SELECT bool_and(stopped_early), count(DISTINCT l.cluster), bool_and(l.epochs = l.last)
	  FROM sessionlen.model_versions v, (SELECT cluster, count(*) AS epochs, max(epoch) AS last FROM sessionlen.training_log WHERE model = 'model' GROUP BY cluster) l
	 WHERE v.model = 'model'}), $node->safe_psql('postgres', q{SELECT 't', count(*), 't' FROM sessionlen.cluster_networks WHERE model = 'model'}),
	'every network has been trained');

# ---- ends ----

outcome('"epochs": 1', 0);
my $segments = segments($node);
my $state = q{SELECT learnt('model')};
my $before = $node->safe_psql('postgres', $state);

sub start_long
{
	my ($out, $err, $sql, $workers) = @_;
	my $psql = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres') . ' application_name=victim', '-c', $sql, '-c', $state ],
		'>', $out, '2>', $err);

	ok(wait_for_workers($node, $workers), 'workers are there');
	return $psql;
}

my $long = train('model', '"search": {"seed": [1, 2, 3, 4, 5], "epochs": [1000000]}, "workers": 3', 0);

for my $how ('cancel', 'terminate')
{
	check_interrupt($node, $how, sub { start_long(@_, $long, 2) }, "$before\n", $segments);
	is($node->safe_psql('postgres', $state), $before, "$how: nothing has changed");
}

# A network that diverges where none may ends all.
{
	my ($err, $learnt) = outcome('"workers": 3, "by_cluster": {"1": {"learning_rate": 1000, "optimizer": "sgd", "clip_norm": 0, "loss": "mse", "epochs": 100, "hidden_dim": 64}, "2": {"epochs": 1000000}}', 1);

	like($err, qr/ERROR:  training diverged/, 'divergence is an error');
	unlike($err, qr/NOTICE/, 'and nothing else');
	ok(wait_for_workers($node, 0), 'workers end');
	is(segments($node), $segments, 'no segment is left');
}

# Workers that are told to end: the leader begins anew with what they leave.
my $long_clusters = join(', ', map { qq{"$_": {"epochs": 900}} } 0 .. 2);
for my $what ([ 'search', '"epochs": 300, "hidden_dim": 48, "search": {"seed": [1, 2, 3]}', 0 ],
	[ 'clusters', qq{"hidden_dim": 48, "by_cluster": {$long_clusters}}, 1 ])
{
	my ($name, $options, $clusters) = @$what;
	my ($out, $err) = ('', '');
	my (undef, $alone) = outcome("$options, \"workers\": 1", $clusters);

	$node->safe_psql('postgres', q{DELETE FROM sessionlen.models WHERE model = 'model'});
	my $psql = start_long(\$out, \$err, train('model', "$options, \"workers\": 3", $clusters), 2);

	kill 'TERM', worker_pids($node);
	$psql->finish;
	is(() = $err =~ /NOTICE:  a training worker has ended early\nDETAIL:  The other processes do its work; the result is the same\./g, 2, "$name: their end is told");
	unlike($err, qr/ERROR/, "$name: and no error");
	like($out, qr/\n\Q$alone\E$/, "$name: the result is the same");
	ok(wait_for_workers($node, 0), "$name: workers end");
	is(segments($node), $segments, "$name: no segment is left");
}

# A worker crashes: the server restarts all its processes, as for any of them.
{
	my ($out, $err) = ('', '');
	my $before = $node->safe_psql('postgres', $state);
	my $psql = start_long(\$out, \$err, $long, 2);
	my @pids = worker_pids($node);

	$node->append_conf('postgresql.conf', 'restart_after_crash = on');
	$node->reload;
	kill 'KILL', $pids[0];
	$psql->finish;
	like($err, qr/terminating connection because of crash of another server process|server closed the connection unexpectedly/, 'a crash');
	$node->poll_query_until('postgres', 'SELECT true');
	ok(wait_for_workers($node, 0), 'workers end');
	is($node->safe_psql('postgres', $state), $before, 'the server goes on');
	is((outcome("$search, \"workers\": 3", 0))[1], $alone{search}, 'and trains');
}

$node->stop;
done_testing();
