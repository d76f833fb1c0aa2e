# A trained model as PyTorch sees it: its weights are read from their table into torch.nn
# modules, its inputs prepared as model_versions.inputs says, and its predictions compared.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => 'python3-torch is not installed'
  unless -x $python && IPC::Run::run([ $python, '-c', 'import torch' ], '>', \my $out, '2>', \my $err);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION sessionlen;
CREATE TABLE plays AS
SELECT u, n, (u * 7 + n * 13) % 17 AS a, CASE WHEN (u + n) % 9 > 0 THEN exp((u * n) % 8) END AS b,
	   -5.5 * ((u * n) % 6) AS c, (u + n) % 2 = 0 AS flag,
	   CASE u % 3 WHEN 0 THEN ' Nord' WHEN 1 THEN 'nord ' ELSE 'Süd' END AS country,
	   CASE WHEN (u * n) % 11 > 0 THEN 'artist ' || (u * n) % 12 END AS artist,
	   100 + 20.0::float8 * (u % 5) + 10 * ((u * 7 + n * 13) % 17) AS y
FROM generate_series(1, 40) u, generate_series(1, CASE u WHEN 1 THEN 1 WHEN 2 THEN 90 ELSE 5 + u % 15 END) n;
});

# by name: options and observed columns beside the known a, b, c, flag and the static country
my %model = (
	gru => '{}',
	lstm => '{"architecture": "lstm", "hidden_dim": [12, 12, 12]}',
	single => '{"architecture": "lstm", "sequence_length": 1}',
	quantile => '{"quantiles": [0.1, 0.3, 0.5, 0.9], "target_transform": "log1p"}',
	large => '{"hidden_dim": 600, "batch_size": 40, "epochs": 1}',
	raw => '{"standardize": false, "learning_rate": 0.01}',
	columns => '{"columns": {"a": "min_max", "b": "log1p", "c": "none", "country": {"as": "one_hot", "fold": true}, "artist": "code"}, "min_count": 20}');

for my $name (sort keys %model)
{
	$node->safe_psql('postgres', qq{SELECT sessionlen.train('$name', 'plays', 'y', 'u', 'n',
		known => '{a,b,c,flag}', static => '{country}', observed => '{artist,y}',
		options => '{"epochs": 5, "hidden_dim": 16, "verbose": false}' || '$model{$name}'::jsonb)});
}
is( $node->safe_psql('postgres', q{SELECT max(chunk) FROM sessionlen.weights WHERE model = 'large'}),
	'1', 'a weight of more than a million elements has two chunks');

my $documents = $node->safe_psql('postgres', q{
SELECT jsonb_build_object('model', model, 'options', options, 'inputs', inputs, 'target_scale', target_scale,
	'weights', (SELECT jsonb_agg(jsonb_build_array(name, chunk, shape, data) ORDER BY name, chunk) FROM sessionlen.weights w WHERE w.model = v.model),
	'vocabularies', (SELECT coalesce(jsonb_object_agg(column_name, entries), '{}') FROM sessionlen.vocabularies c WHERE c.model = v.model),
	'sequences', (SELECT jsonb_agg(s) FROM (
		SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object('flag', flag::int) ORDER BY n) AS rows, jsonb_agg(prediction ORDER BY n) AS predictions
		FROM (SELECT *, sessionlen.predict(v.model, plays) OVER (PARTITION BY u ORDER BY n) AS prediction FROM plays) p GROUP BY u) s))
FROM sessionlen.model_versions v ORDER BY model});

my $dir = abs_path(dirname(__FILE__));
IPC::Run::run([ $python, "$dir/030_torch.py" ], '<', \$documents, '>', \$out, '2>', \$err);
is($err, '', 'no complaint');
my %difference = map { split / / } split /\n/, $out;
is_deeply([ sort keys %difference ], [ sort keys %model ], 'all models were read');
for my $name (sort keys %difference)
{
	cmp_ok($difference{$name}, '<', 1e-5, "$name: relative difference");
}

# A network of PyTorch's own becomes a model by the same rows: twice the head, twice the
# distance from the target's mean.
$node->safe_psql('postgres', q{
CREATE TABLE before AS SELECT u, n, sessionlen.predict('gru', p) OVER (PARTITION BY u ORDER BY n) AS value FROM plays p;
UPDATE sessionlen.weights SET data = (SELECT array_agg(w * 2 ORDER BY i) FROM unnest(data) WITH ORDINALITY x(w, i))
 WHERE model = 'gru' AND name LIKE 'head.%';
});
is( $node->safe_psql('postgres', q{
SELECT bool_and(abs(x.value - m - 2 * (before.value - m)) < 1e-3)
  FROM (SELECT u, n, sessionlen.predict('gru', p) OVER (PARTITION BY u ORDER BY n) AS value FROM plays p) x JOIN before USING (u, n),
	   (SELECT (target_scale ->> 'mean')::float8 AS m FROM sessionlen.model_versions WHERE model = 'gru') t}),
	't', 'weights written from outside are used');

$node->stop;
done_testing();
