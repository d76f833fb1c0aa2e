# Models of an ordinary role survive pg_dump and pg_restore with their grants, predict the
# same bits, go on being trained, and predict on a hot standby.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1, auth_extra => [ '--create-role', 'analyst,reader,stranger' ]);
$node->start;
$node->safe_psql('postgres', q{
CREATE ROLE analyst LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE stranger LOGIN;
CREATE DATABASE one;
});
$node->safe_psql('one', 'CREATE EXTENSION sessionlen; GRANT CREATE ON SCHEMA public TO analyst');

# as(role, database, query, node): output, or what the error says
sub as
{
	my ($role, $database, $sql, $on) = @_;
	my ($out, $err);
	my $code = ($on || $node)->psql($database, $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);

	return $code == 0 ? $out : $err;
}

# Ordinary roles: one trains, one is granted, one is not.
my $train = q{SELECT version FROM sessionlen.train('daily', 'plays', 'y', 'u', 't', known => '{a}', static => '{country}', observed => '{y}',
	options => '{"hidden_dim": [20, 6], "epochs": 1, "verbose": false, "split": {"by": "time"}}')};
my $predict = q{SELECT md5(string_agg(float8send(p)::text, ',' ORDER BY u, t)) FROM (SELECT u, t, sessionlen.predict('daily', s) OVER (PARTITION BY u ORDER BY t) AS p FROM plays s) x};
as('analyst', 'one', q{
CREATE TABLE plays AS SELECT i % 40 AS u, timestamptz '2024-01-01' + i * interval '1 hour' AS t, i % 7 / 3.0 AS a, E'land "' || i % 3 || E'\\\\\n' AS country, (i % 7 + i % 40)::float8 AS y
FROM generate_series(1, 600) i;
GRANT SELECT ON plays TO reader, stranger;
});
is(as('analyst', 'one', $train =~ s{"verbose"}{"seed": 1, "verbose"}r), '1', 'an ordinary role trains');
is(as('analyst', 'one', $train), '2', 'and again');
like(as('analyst', 'one', q{SELECT * FROM sessionlen.train('second', 'plays', 'y', 'u', 't', known => '{a}', options => '{"quantiles": [0.1, 0.5], "epochs": 1, "verbose": false}')}),
	qr/^second\|1\|/, 'a second model');
is(as('analyst', 'one', q{SELECT items FROM sessionlen.word2vec('lands', 'plays', 'country', 'u', 't', '{"dim": 5, "epochs": 1, "verbose": false}')}), '3', 'and item vectors');
is(as('analyst', 'one', q{SELECT sessionlen.grant_embedding('lands', 'reader')}), '', 'it grants them');
is(as('analyst', 'one', q{SELECT sessionlen.grant_model('daily', 'reader')}), '', 'it grants');
my $similar = q{SELECT string_agg(s::text, ',' ORDER BY s.rank) FROM sessionlen.embedding_items i, sessionlen.similar_items(i.name, i.item) s WHERE i.rank = 0};
my $near = as('analyst', 'one', $similar);
like($near, qr/land/, 'it finds similar items');
my $bits = as('analyst', 'one', $predict);
like($bits, qr/^[0-9a-f]{32}$/, 'it predicts');

# What holds in every copy of the database.
sub check_copy
{
	my ($name, $on) = @_;

	is(as('analyst', $name, $predict, $on), $bits, "$name: the owner predicts the same bits");
	is(as('reader', $name, $predict, $on), $bits, "$name: so does the role granted");
	is(as('reader', $name, $similar, $on), $near, "$name: similar items are the same");
	is(as('stranger', $name, $similar, $on), '', "$name: for the role granted alone");
	like(as('stranger', $name, $predict, $on), qr/model "daily" does not exist/, "$name: no other");
	is(as('reader', $name, q{SELECT string_agg(model, ',') FROM sessionlen.models}, $on), 'daily', "$name: the other model is not granted");
	is(as('stranger', $name, q{SELECT count(*) FROM sessionlen.models, sessionlen.model_versions, sessionlen.weights, sessionlen.baselines}, $on), '0', "$name: nothing is seen");
	like(as('reader', $name, q{SELECT sessionlen.deploy('daily', 1)}, $on), qr/must be owner|read-only/, "$name: the role granted can't deploy");
	like(as('reader', $name, q{SELECT sessionlen.drop_model('daily')}, $on), qr/must be owner/, "$name: nor drop");
	is(as('analyst', $name, q{SELECT count(*), sum(row_count) > 0 FROM sessionlen.evaluate('daily')}, $on), '5|t', "$name: it is evaluated on the same split");
}
check_copy('one');

# Dumped in two formats and restored in two ways.
my $dir = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", 'one' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-f', "$dir/plain", 'one' ], 'pg_dump as text');
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(two three);
$node->command_ok([ 'pg_restore', '-e', '-d', 'two', "$dir/custom" ], 'pg_restore');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain", 'three' ], 'restore the text');
for my $copy (qw(two three))
{
	check_copy($copy) if $copy eq 'two';
	is(as('reader', $copy, $predict), $bits, "$copy: the same bits");
	is($node->safe_psql($copy, q{SELECT relname FROM pg_class WHERE relnamespace = 'sessionlen'::regnamespace AND relkind = 'r' AND NOT relrowsecurity}), '', "$copy: row-level security is on");
	my $contents = q{SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT w::text AS x FROM sessionlen.weights w UNION ALL SELECT v::text FROM sessionlen.model_versions v
		UNION ALL SELECT b::text FROM sessionlen.baselines b UNION ALL SELECT c::text FROM sessionlen.checkpoints c UNION ALL SELECT l::text FROM sessionlen.training_log l
		UNION ALL SELECT e::text FROM sessionlen.embeddings e UNION ALL SELECT i::text FROM sessionlen.embedding_items i UNION ALL SELECT g::text FROM sessionlen.embedding_grants g) y};
	is($node->safe_psql($copy, $contents), $node->safe_psql('one', $contents), "$copy: every row is there");
	next if $copy eq 'three';
	is(as('analyst', $copy, $train), '3', "$copy: versions go on");
	like(as('analyst', $copy, $train =~ s/"verbose"/"warm_start": true, "verbose"/r), qr/^4$/, "$copy: a warm start finds its checkpoint");
	is(as('analyst', $copy, q{SELECT sessionlen.deploy('daily', 2)}), '2', "$copy: deployed again");
	is(as('reader', $copy, $predict), $bits, "$copy: the same bits");
	is(as('analyst', $copy, q{SELECT sessionlen.revoke_model('daily', 'reader')}), '', "$copy: a grant is taken back");
	like(as('reader', $copy, $predict), qr/does not exist/, "$copy: and gone");
}
is(as('analyst', 'one', $predict), $bits, 'the first database is as it was');

# Dropping the extension takes the models along; a new one is empty.
$node->safe_psql('three', 'DROP EXTENSION sessionlen; CREATE EXTENSION sessionlen');
is($node->safe_psql('three', 'SELECT count(*) FROM sessionlen.models'), '0', 'a new extension is empty');

# A hot standby predicts, follows deployments, and does not train.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
check_copy('one', $standby);
like(as('analyst', 'one', $train, $standby), qr/cannot execute INSERT in a read-only transaction/, 'no training on a standby');
is(as('analyst', 'one', q{SELECT sessionlen.deploy('daily', 1)}), '1', 'another version is deployed');
my $other = as('analyst', 'one', $predict);
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
isnt($other, $bits, 'it predicts otherwise');
is(as('reader', 'one', $predict, $standby), $other, 'on the standby too');

$standby->stop;
$node->stop;
done_testing();
