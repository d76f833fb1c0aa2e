# Cancelling at every stage: the statement ends soon, the session goes on, the old version
# serves, and nothing is left.  What is cancelled would take minutes.

use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $soon = 20;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION sessionlen;
CREATE TABLE plays AS SELECT i % 256 AS u, i AS n, sin(i) AS a, cos(i) AS y FROM generate_series(1, 256 * 64) i;
CREATE VIEW endless AS SELECT i % 1000 AS u, i AS n, sin(i) AS a, cos(i) AS y FROM generate_series(1, 200000000) i;
CREATE FUNCTION left_over() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s %s %s %s %s', (SELECT string_agg(model || deployed, ',' ORDER BY model) FROM sessionlen.models), (SELECT count(*) FROM sessionlen.model_versions),
		(SELECT count(*) FROM sessionlen.weights), (SELECT count(*) FROM sessionlen.training_log) + (SELECT count(*) FROM sessionlen.embedding_items), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'))
$$;
CREATE FUNCTION served() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(float8send(prediction)::text, ',')) FROM sessionlen.predict_table('model', 'SELECT * FROM plays WHERE n < 2000')
$$;
SELECT sessionlen.train('model', 'plays', 'y', 'u', 'n', known => '{a}', options => '{"hidden_dim": 8, "epochs": 1, "verbose": false}');
SELECT sessionlen.word2vec('items', 'SELECT u, n, n / 10 AS s FROM plays', 'u', 's', 'n', '{"dim": 4, "epochs": 1, "verbose": false}');
SELECT sessionlen.train('wide', 'plays', 'y', 'u', 'n', known => '{a}', options => '{"hidden_dim": 512, "epochs": 1, "time_limit": 0.001, "verbose": false}');
});
my $state = $node->safe_psql('postgres', 'SELECT left_over(), served()');

sub train
{
	my ($model, $source, $options) = @_;

	return qq{SELECT sessionlen.train('$model', '$source', 'y', 'u', 'n', known => '{a}', options => '{"verbose": false, $options}')};
}

my %stage = (
	'reading' => train('model', 'endless', '"epochs": 1'),
	'reading for a new model' => train('new', 'endless', '"epochs": 1'),
	'reading the cut points of a split' => train('model', 'SELECT * FROM endless', '"split": {"by": "time"}'),
	'many small steps' => train('model', 'plays', '"epochs": 1000000, "hidden_dim": 4'),
	'one step of a large network' =>
	  train('model', 'plays', '"epochs": 1000, "hidden_dim": [1024, 1024], "batch_size": 256, "sequence_length": 64, "architecture": "lstm"'),
	'a search' => train('new', 'plays', '"epochs": 1000, "search": {"hidden_dim": [64, 128], "seed": [1, 2]}'),
	'reading items' => q{SELECT sessionlen.word2vec('items', 'endless', 'u', 'n', 'n')},
	'learning item vectors' => q{SELECT sessionlen.word2vec('items', 'SELECT u, n, n / 10 AS s FROM plays', 'u', 's', 'n', '{"epochs": 1000000, "dim": 4096, "negative": 100, "window": 100, "verbose": false}')},
	'learning small item vectors' => q{SELECT sessionlen.word2vec('new items', 'SELECT u, n, n / 10 AS s FROM plays', 'u', 's', 'n', '{"epochs": 1000000, "dim": 2, "verbose": false}')},
	'predict_table' => q{SELECT count(*) FROM sessionlen.predict_table('wide', 'endless')},
	'predict_table of one sequence' =>
	  q{SELECT count(*) FROM sessionlen.predict_table('wide', 'SELECT 1 AS u, n, a FROM endless LIMIT 5000000')},
	'evaluate' => q{SELECT * FROM sessionlen.evaluate('wide', 'endless')},
	'predict' => q{SELECT count(p) FROM (SELECT sessionlen.predict('wide', e) OVER (ORDER BY n) AS p FROM (SELECT a, n FROM generate_series(1, 3000000) n, sin(n) a) e) x},
	'predict_sequence' => q{SELECT sessionlen.predict_sequence('wide', (SELECT array_agg(e) FROM (SELECT 0.5 AS a FROM generate_series(1, 1000000)) e))});

# In one session each: a time-out, then the same session predicts as before.
for my $stage (sort keys %stage)
{
	my ($out, $err);
	my $begin = time;

	$node->psql('postgres', qq{SET statement_timeout = '0.7s';\n$stage{$stage};\nRESET statement_timeout;\nSELECT left_over(), served();},
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	like($err, qr/^psql:<stdin>:\d+: ERROR:  canceling statement due to statement timeout$/m, "$stage: timed out");
	is($out, $state, "$stage: all is as before");
	cmp_ok(time - $begin, '<', $soon, "$stage: soon");
}

# From another session, by a request to cancel or to end.
for my $stage ('one step of a large network', 'predict_table')
{
	for my $how ('cancel', 'terminate')
	{
		my ($out, $err) = ('', '');
		my $psql = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres') . ' application_name=victim',
				'-c', $stage{$stage}, '-c', 'SELECT left_over(), served()' ], '>', \$out, '2>', \$err);

		$node->poll_query_until('postgres',
			q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND now() - query_start > '0.3 s'});
		my $begin = time;
		$node->safe_psql('postgres', qq{SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'});
		$psql->finish;
		cmp_ok(time - $begin, '<', $soon, "$how, $stage: soon");
		like($err, $how eq 'cancel' ? qr/canceling statement due to user request/ : qr/terminating connection/, "$how, $stage: error");
		is($out, "$state\n", "$how, $stage: the session goes on") if $how eq 'cancel';
		is($node->safe_psql('postgres', 'SELECT left_over(), served()'), $state, "$how, $stage: all is as before");
	}
}

# Caught by the caller's code: a subtransaction leaves nothing either.
is( $node->safe_psql('postgres', q{
DO $$ BEGIN
	PERFORM sessionlen.train('new', 'plays', 'y', 'u', 'n', known => '{a}', options => '{"epochs": 1, "verbose": false}');
	PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
	PERFORM sessionlen.train('new', 'plays', 'y', 'u', 'n', known => '{a}', options => '{"epochs": 1, "verbose": false}');
	PERFORM sessionlen.drop_model('new');
END $$;
SELECT left_over(), served();}), $state, 'rolled back to a savepoint');

# Progress is told by NOTICE, unless asked to be quiet.
my ($out, $err);
$node->psql('postgres', q{SELECT sessionlen.train('model', 'plays', 'y', 'u', 'n', known => '{a}', options => '{"epochs": 2, "hidden_dim": 4, "search": {"seed": [1, 2]}}')}, stderr => \$err);
like($err, qr{NOTICE:  search 1/2: \{"seed": 1\}.*NOTICE:  epoch 1/2: loss [\d.]+, validation [\d.]+ \(MAE [\d.]+\), \d+ rows/s, \d+ s left.*epoch 2/2.*search 2/2}s, 'verbose');
$node->psql('postgres', train('model', 'plays', '"epochs": 1'), stderr => \$err);
is($err, '', 'not verbose');

$node->stop;
done_testing();
