# sessions() and the window functions against plain SQL on real listening logs, the
# 30Music slices; skipped where SHARED_DATA (or ../shared/data) does not have them.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $folder = ($ENV{SHARED_DATA} // "$top/../shared/data") . '/30music';
my @files = sort glob("$folder/30music-*.txt");

plan skip_all => 'no 30Music slices' unless @files;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION sessionlen;'
	  . ' CREATE TABLE log (user_id int, session_id int, item_id int, unix bigint, artist_id int)');
for my $file (@files)
{
	$node->run_log([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
			"\\copy log FROM '$file' (FORMAT csv, DELIMITER E'\\t', HEADER)" ]);
}

# The log has no durations; a made-up one of the item's, unknown for every fifth.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE plays AS
	SELECT user_id, to_timestamp(unix) AS ts,
	       CASE WHEN item_id % 5 > 0 THEN item_id % 400 END::float8 AS duration
	  FROM log ORDER BY hashint8(unix), user_id;
ANALYZE plays;
SQL
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM plays'), '>', 20000, 'plays read');

# The sessions of plain SQL, from epoch seconds alone
sub reference
{
	my ($duration, $gap) = @_;

	return <<"SQL";
WITH e AS (
	SELECT user_id, extract(epoch FROM ts) AS t, coalesce($duration, 0)::numeric AS d FROM plays
), cut AS (
	SELECT *, coalesce(t - lag(t + d) OVER w > $gap, true) AS new
	  FROM e WINDOW w AS (PARTITION BY user_id ORDER BY t, d)
), numbered AS (
	SELECT *, count(*) FILTER (WHERE new) OVER (PARTITION BY user_id ORDER BY t, d ROWS UNBOUNDED PRECEDING) AS n
	  FROM cut
), list AS (
	SELECT user_id, n, min(t) AS t0, (array_agg(t + d ORDER BY t DESC, d DESC))[1] AS t1, count(*) AS events
	  FROM numbered GROUP BY user_id, n
)
SELECT user_id, n, to_timestamp(t0), to_timestamp(t1), (t1 - t0)::float8, events,
       coalesce(lag(t1 - t0) OVER w, 0)::float8,
       round(coalesce(avg(t1 - t0) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0), 9),
       (t0 - lag(t1) OVER w)::float8
  FROM list WINDOW w AS (PARTITION BY user_id ORDER BY n)
SQL
}

# Rows that one of two queries has and the other has not
sub differences
{
	my ($one, $other, $settings) = @_;

	return $node->safe_psql('postgres',
		"$settings SELECT count(*) FROM ((($one) EXCEPT ALL ($other)) UNION ALL (($other) EXCEPT ALL ($one))) x");
}

my $partial = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;'
  . ' SET min_parallel_table_scan_size = 0; SET enable_sort = off;';

for my $case ([ 'NULL', 1800 ], [ 'duration', 1800 ], [ 'duration', 0 ], [ 'duration', 86400 ])
{
	my ($duration, $gap) = @$case;
	my $sessions = "SELECT user_id, sessionlen.sessions(ts, $duration, '$gap s') AS l FROM plays GROUP BY user_id";
	my $rows = 'SELECT user_id, session_number, session_start, session_end, session_length, event_count,'
	  . ' previous_session_length, round(average_session_length::numeric, 9), absence';
	my $what = "duration $duration, gap $gap s";
	my $reference = reference($duration, $gap);

	is(differences("$rows FROM ($sessions) p, unnest(p.l)", $reference,
			'SET max_parallel_workers_per_gather = 0;'),
		0, "$what: sessions() as plain SQL");
	like($node->safe_psql('postgres', "$partial EXPLAIN (COSTS OFF) $sessions"),
		qr/Partial HashAggregate/, "$what: a parallel plan");
	is(differences("$rows FROM ($sessions) p, unnest(p.l)", $reference, $partial),
		0, "$what: the same in parallel");
	is( differences(
			"SELECT user_id, n, min(ts), max(seconds) FROM (SELECT user_id, ts,"
			  . " sessionlen.session_number(ts, $duration, '$gap s') OVER w AS n,"
			  . " sessionlen.session_seconds(ts, $duration, '$gap s') OVER w AS seconds"
			  . ' FROM plays WINDOW w AS (PARTITION BY user_id ORDER BY ts, duration)) x GROUP BY user_id, n',
			'SELECT user_id, n, min(to_timestamp(t)), max(t + d - t0)::float8 FROM'
			  . ' (SELECT *, min(t) OVER (PARTITION BY user_id, n) AS t0 FROM ('
			  . ($reference =~ s/\), list AS.*/) SELECT * FROM numbered/sr) . ') y) x GROUP BY user_id, n',
			''),
		0, "$what: the window functions as plain SQL");
}

$node->stop;
done_testing();
