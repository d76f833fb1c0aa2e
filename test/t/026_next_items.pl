# Next items on real listening logs, the 30Music slices, beside popularity and what
# followed an item before; skipped where SHARED_DATA (or ../shared/data) does not have
# them.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $folder = ($ENV{SHARED_DATA} // "$top/../shared/data") . '/30music';

plan skip_all => 'no 30Music slices' unless glob("$folder/30music-*.txt");

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION sessionlen');
$node->command_ok(
	[
		'psql', '-qX', '-d', $node->connstr('postgres'), '-v', "folder=$folder", '-f',
		"$top/doc/examples/load_30music.sql", '-f', "$top/doc/examples/session_items.sql"
	],
	'the slices are loaded');

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

query(q{
SELECT * FROM sessionlen.train('next', 'session_items', task => 'next_items',
	partition_by => 'session_id', order_by => 'session_position', item => 'item',
	options => '{"loss": "bpr_max", "hidden_dim": 100, "dropout": 0.2, "epochs": 12, "learning_rate": 0.01,
		"min_count": 2, "split": {"by": "user", "validation": 0.1, "test": 0.2}, "verbose": false}')});
query('CREATE TABLE e AS SELECT * FROM sessionlen.evaluate(\'next\', k => 20)');
note query('SELECT predictor, row_count, round(recall::numeric, 3) AS recall, round(mrr::numeric, 4) AS mrr FROM e');
is(query('SELECT count(DISTINCT row_count) = 1 AND min(row_count) > 5000 FROM e'),
	't', 'all predictors are measured on the same rows');
is( query(
		q{SELECT count(*) FROM e m, e b WHERE m.predictor = 'model' AND b.predictor <> 'model'
		AND m.recall > b.recall AND m.mrr > b.mrr}),
	2, 'the network beats both baselines');

# What followed what, counted by plain SQL.
query(q{
CREATE TABLE r AS SELECT *, lag(item) OVER (PARTITION BY partition_key ORDER BY order_key::int) AS previous
	FROM sessionlen.item_predictions('next', part => 'all');
CREATE TABLE f AS SELECT lag AS previous, item, count(*) AS times FROM (
	SELECT item, lag(item) OVER (PARTITION BY partition_key ORDER BY order_key::int) FROM r WHERE part = 'train') t
	WHERE item IN (SELECT item FROM r WHERE rank IS NOT NULL) AND lag IN (SELECT item FROM r WHERE rank IS NOT NULL) GROUP BY 1, 2;
CREATE INDEX ON f (previous);
ANALYZE f});
is( query(
		q{SELECT count(*) FROM (SELECT * FROM r WHERE part = 'test' AND rank IS NOT NULL) r JOIN f USING (previous, item)
		WHERE cooccurrence_rank NOT BETWEEN 1 + (SELECT count(*) FROM f o WHERE o.previous = r.previous AND o.times > f.times)
			AND (SELECT count(*) FROM f o WHERE o.previous = r.previous AND o.times >= f.times)}),
	0, 'co-occurrence ranks as plain SQL has them');
is( query(
		q{SELECT count(*) FROM r WHERE part = 'test' AND rank IS NOT NULL AND NOT EXISTS (
			SELECT FROM f WHERE f.previous = r.previous AND f.item = r.item)
		AND cooccurrence_rank <= (SELECT count(*) FROM f WHERE f.previous = r.previous)}),
	0, 'those that never followed come after those that did');

# The next item of a session's rows, and the table's.
is( query(
		q{SELECT count(*) FROM (SELECT r.* FROM r WHERE part = 'test' AND rank = 1 AND position > 1 ORDER BY partition_key, position LIMIT 20) r,
		LATERAL sessionlen.predict_items('next', ARRAY(SELECT s FROM session_items s WHERE session_id = r.partition_key
			AND session_position < r.order_key::int ORDER BY session_position), n => 1) i
		WHERE i.items = ARRAY[r.item]}),
	20, 'predict_items() says the same');

$node->stop;
done_testing();
