# Cancelling what clusters, at every stage of it: the statement ends soon, the session goes
# on, and the clustering there was stands as it did.  What is cancelled would take hours.

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
CREATE TABLE points AS SELECT i AS id, sin(i) AS a, cos(i * 1.7) AS b, sin(i * i) AS c, cos(i * 0.3) * 2 AS d FROM generate_series(1, 40000) i;
CREATE VIEW endless AS SELECT i AS id, sin(i) AS a, cos(i) AS b FROM generate_series(1, 200000000) i;
SELECT sessionlen.cluster('kept', 'SELECT * FROM points WHERE id <= 3000', 'id', '{a,b}', 3);
SELECT sessionlen.cluster('wide', 'points', 'id', '{a,b,c,d}', 3);
SELECT sessionlen.cluster('linked', 'SELECT * FROM points WHERE id <= 3000', 'id', '{a,b}', 3, 'spectral');
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(c::text, ' ' ORDER BY name)) || (SELECT md5(string_agg(l::text, ' ' ORDER BY name, key)) FROM sessionlen.cluster_labels l)
		|| (SELECT md5(string_agg(z::text, ' ' ORDER BY name, cluster)) FROM sessionlen.cluster_centroids z)
		|| (SELECT string_agg(sessionlen.assign_cluster('kept', p)::text, '' ORDER BY id) FROM points p WHERE id <= 100)
		|| ' ' || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
	  FROM sessionlen.clusterings c
$$;
});
my $state = $node->safe_psql('postgres', 'SELECT state()');

sub cluster
{
	my ($source, $columns, $k, $method, $options) = @_;

	return qq{SELECT sessionlen.cluster('kept', '$source', 'id', '{$columns}', $k, '$method', '{$options}')};
}

# Starts without end, for the stages before them are over sooner or later.
my $starts = '"n_init": 1000, "max_iter": 100000, "tol": 0';
my %stage = (
	'reading' => cluster('endless', 'a,b', 3, 'kmeans', ''),
	'k-means' => cluster('points', 'a,b,c,d', 40, 'kmeans', $starts),
	'k-means with many centroids' => cluster('points', 'a,b,c,d', 2000, 'kmeans', $starts),
	'spectral' => cluster('points', 'a,b,c,d', 40, 'spectral', $starts),
	'spectral in a plane' => cluster('points', 'a,b', 40, 'spectral', $starts),
	'spectral of all pairs' => cluster('SELECT * FROM points WHERE id <= 5000', 'a,b,c,d', 40, 'spectral', qq{"affinity": "rbf", $starts}),
	'elbow' => qq{SELECT * FROM sessionlen.elbow('points', '{a,b,c,d}', 20, 60, '{$starts}')},
	'silhouette_sweep' => qq{SELECT * FROM sessionlen.silhouette_sweep('points', '{a,b,c,d}', 20, 60, 'spectral', '{$starts}')},
	'silhouette' => q{SELECT sum(s) FROM generate_series(1, 1000) i, LATERAL (SELECT sessionlen.silhouette_score('wide') + i) x(s)},
	'assign_cluster' => q{SELECT sum(sessionlen.assign_cluster('linked', e)) FROM endless e},
	'kmeans_step' => q{SELECT sessionlen.kmeans_step(ARRAY[a, b], '{{0,0},{1,1}}') FROM endless});

# In one session each: a time-out at several moments, then the same session goes on.
for my $stage (sort keys %stage)
{
	for my $after (qw(0.2 1.1))
	{
		my ($out, $err);
		my $begin = time;

		$node->psql('postgres', qq{SET statement_timeout = '${after}s';\n$stage{$stage};\nRESET statement_timeout;\nSELECT state();},
			stdout => \$out, stderr => \$err, on_error_stop => 0);
		like($err, qr/^psql:<stdin>:\d+: ERROR:  canceling statement due to statement timeout$/m, "$stage: timed out after $after s");
		is($out, $state, "$stage: all is as before");
		cmp_ok(time - $begin, '<', $soon, "$stage: soon");
	}
}

# From another session, by a request to cancel or to end.
for my $stage ('k-means', 'spectral')
{
	for my $how ('cancel', 'terminate')
	{
		my ($out, $err) = ('', '');
		my $psql = IPC::Run::start([ 'psql', '-XAt', '-d', $node->connstr('postgres') . ' application_name=victim',
				'-c', $stage{$stage}, '-c', 'SELECT state()' ], '>', \$out, '2>', \$err);

		$node->poll_query_until('postgres',
			q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND now() - query_start > '0.5 s'});
		# meanwhile nobody else makes one of this name, and the old one is there to be used
		my (undef, undef, $busy) = $node->psql('postgres', cluster('points', 'a', 2, 'kmeans', ''));
		like($busy, qr/clustering "kept" is being made by another session/, "$how, $stage: the name is taken");
		is($node->safe_psql('postgres', q{SELECT regexp_replace(state(), ' \d+$', '')}), $state =~ s/ \d+$//r, "$how, $stage: the old one serves");

		my $begin = time;
		$node->safe_psql('postgres', qq{SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'});
		$psql->finish;
		cmp_ok(time - $begin, '<', $soon, "$how, $stage: soon");
		like($err, $how eq 'cancel' ? qr/canceling statement due to user request/ : qr/terminating connection/, "$how, $stage: error");
		is($out, "$state\n", "$how, $stage: the session goes on") if $how eq 'cancel';
		is($node->safe_psql('postgres', 'SELECT state()'), $state, "$how, $stage: all is as before");
	}
}

# After all that the name can be used again.
is($node->safe_psql('postgres', cluster('points', 'a', 2, 'kmeans', '') =~ s/^SELECT/SELECT k FROM/r), '2', 'a new one replaces it');

$node->stop;
done_testing();
