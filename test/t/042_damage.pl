# Rows of trained models and clusterings damaged at random, by somebody who may write them:
# the server stays up, and whatever reads them either says what is wrong with an SQLSTATE of
# its own or answers with finite numbers.  The same damage each time; TEST_SEED and
# TEST_ROUNDS choose other and more.

use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{TEST_ROUNDS} || 250;
my $json = JSON::PP->new->canonical->allow_nonref;
my $random = ($ENV{TEST_SEED} || 1) * 7919 + 1;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'sessionlen.memory_limit = 64MB');
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION sessionlen;
SET client_min_messages = warning;
CREATE TABLE plays AS
	SELECT i % 80 AS u, i AS t, i % 7 + 0.5 AS a, CASE WHEN i % 5 > 0 THEN (i % 11)::float8 END AS b,
		'artist ' || i % 6 AS c, 'c' || i % 3 AS d, 60 + 10.0::float8 * (i % 9) AS y, i % 40 = 7 AS open
	FROM generate_series(1, 480) i;
CREATE VIEW users AS SELECT u, u % 2 * 10 + 0.5 * (u % 5) AS level, u % 3 AS other FROM generate_series(0, 79) u;
SELECT sessionlen.cluster('groups', 'users', 'u', '{level,other}', 2);
SELECT sessionlen.cluster('near', 'users', 'u', '{level,other}', 2, 'spectral', '{"standardize": true}');
SELECT sessionlen.train('lengths', 'plays', 'y', 'u', 't', known => '{a,b}', static => '{c,d}', observed => '{y}',
	censored => 'open', clusters => 'groups',
	options => '{"epochs": 2, "hidden_dim": 4, "verbose": false, "columns": {"d": "one_hot"}}');
SELECT sessionlen.train('levels', 'plays', 'y', 'u', 't', known => '{a,c}',
	options => '{"epochs": 1, "hidden_dim": [3, 2], "architecture": "lstm", "loss": "quantile", "optimizer": "nadam", "verbose": false}');

CREATE FUNCTION odd(x float8) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT abs(x) IN ('Infinity', 'NaN') $$;
-- Each counts what is not finite.
CREATE TABLE reader AS SELECT row_number() OVER () AS n, r AS query FROM unnest(ARRAY[
	$$SELECT count(*) FROM (SELECT sessionlen.predict('lengths', s) OVER (PARTITION BY u ORDER BY t) AS p FROM plays s) x WHERE odd(p)$$,
	$$SELECT count(*) FROM (SELECT sessionlen.predict('levels', s) OVER (PARTITION BY u ORDER BY t) AS p FROM plays s) x WHERE odd(p)$$,
	$$SELECT count(*) FROM sessionlen.predict_table('lengths', 'plays') WHERE odd(prediction)$$,
	$$SELECT count(*) FROM sessionlen.predict_table('levels', 'plays'), unnest(quantiles || prediction) q WHERE odd(q)$$,
	$$SELECT count(*) FROM (SELECT sessionlen.predict_sequence('lengths', array_agg(s ORDER BY t)) AS p FROM plays s GROUP BY u) x WHERE odd(p)$$,
	$$SELECT count(*) FROM sessionlen.evaluate('lengths') WHERE odd(mae)$$,
	$$SELECT count(*) FROM sessionlen.evaluate('levels') WHERE odd(mae)$$,
	$$SELECT count(*) FROM (SELECT sessionlen.report('lengths') AS page) x WHERE page ~ '(nan|inf)[",]'$$,
	$$SELECT count(*) FROM (SELECT sessionlen.plot_learning_curve('levels') AS page) x WHERE page ~ '(nan|inf)[",]'$$,
	$$SELECT count(*) FROM sessionlen.train('levels', 'plays', 'y', 'u', 't', known => '{a,c}',
		options => '{"epochs": 1, "hidden_dim": [3, 2], "architecture": "lstm", "loss": "quantile", "optimizer": "nadam", "verbose": false, "warm_start": true}')
	  WHERE odd(training_loss)$$,
	$$SELECT count(*) FROM sessionlen.train('parts', 'plays', 'y', 'u', 't', known => '{a}', clusters => 'groups',
		options => '{"epochs": 1, "hidden_dim": 2, "verbose": false}') WHERE odd(training_loss)$$,
	$$SELECT count(*) FROM (SELECT sessionlen.report('{lengths,levels}'::text[]) AS page) x WHERE page ~ '(nan|inf)[",]'$$,
	$$SELECT count(*) FROM (SELECT sessionlen.plot_silhouette('groups') AS page) x WHERE page ~ '(nan|inf)[",]'$$,
	$$SELECT count(*) FROM users r WHERE sessionlen.assign_cluster('groups', r) NOT BETWEEN 0 AND 1000000$$,
	$$SELECT count(*) FROM users r WHERE sessionlen.assign_cluster('near', r) NOT BETWEEN 0 AND 1000000$$,
	$$SELECT count(*) FROM sessionlen.silhouette('near') WHERE odd(silhouette)$$,
	$$SELECT count(*) FROM (SELECT sessionlen.plot_clusters('near', 'level', 'other') AS page) x WHERE page ~ '(nan|inf)[",]'$$
	]) r;

-- What each reader says after some damage, which is always undone.
CREATE FUNCTION damaged(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	outcome text := '';
	query text;
	odd bigint;
	context text;
BEGIN
	EXECUTE statement;
	UPDATE sessionlen.model_versions SET id = gen_random_uuid();
	FOR query IN SELECT r.query FROM reader r ORDER BY n LOOP
		BEGIN
			EXECUTE query INTO odd;
			outcome := outcome || CASE WHEN odd > 0 THEN ' odd' ELSE ' ok' END;
		EXCEPTION WHEN OTHERS THEN
			outcome := outcome || ' ' || SQLSTATE || CASE WHEN SQLSTATE = 'XX000' THEN '(' || SQLERRM || ')' ELSE '' END;
		END;
	END LOOP;
	RAISE SQLSTATE 'DONE0' USING MESSAGE = outcome;
EXCEPTION
	WHEN SQLSTATE 'DONE0' THEN RETURN SQLERRM;
	WHEN OTHERS THEN RETURN ' refused ' || SQLSTATE;
END $$;
});

# ---- damage -----------------------------------------------------------------------------

sub below
{
	my $n = shift;

	$random = ($random * 48271) % 2147483647;
	return int($random / 2147483647 * $n);
}

sub one_of { return $_[ below(scalar @_) ]; }

sub odd_number
{
	return one_of(0, 1, -1, 2, 3, 5, 1000, 65536, 2147483647, -2147483648, 0.5, -0.5, 1e-300, 1e300, -1e300, 3e38, 1e-45);
}

sub odd_text
{
	return one_of('', 'x', 'u', 't', 'y', 'a', 'c', 'plays', 'plays"', "'", 'SELECT 1', 'a' x 70, "\x{e9}", 'lengths', 'artist 1', 'gru', 'lstm', 'nadam', 'mae');
}

sub odd_json
{
	my $kind = below(8);

	return
		$kind == 0 ? undef
	  : $kind == 1 ? JSON::PP::true
	  : $kind == 2 ? []
	  : $kind == 3 ? {}
	  : $kind == 4 ? [ odd_number() + 0, odd_number() + 0 ]
	  : $kind == 5 ? odd_text()
	  :              odd_number() + 0;
}

# One place of a document: another value, a lost one, a moved one.
sub damage_json
{
	my $value = shift;

	return odd_json() if !ref($value) || JSON::PP::is_bool($value) || below(6) == 0;
	if (ref($value) eq 'HASH')
	{
		my @keys = sort keys %$value;

		return odd_json() if !@keys;
		my $key = one_of(@keys);
		my $how = below(8);
		if    ($how == 0) { delete $value->{$key}; }
		elsif ($how == 1) { $value->{ odd_text() } = $value->{$key}; }
		elsif ($how == 2) { $value->{$key} = $value->{ one_of(@keys) }; }
		else              { $value->{$key} = damage_json($value->{$key}); }
	}
	else
	{
		return [ odd_json() ] if !@$value;
		my $i = below(scalar @$value);
		my $how = below(8);
		if    ($how == 0) { splice @$value, $i, 1; }
		elsif ($how == 1) { push @$value, $value->[$i]; }
		elsif ($how == 2) { @$value = reverse @$value; }
		else              { $value->[$i] = damage_json($value->[$i]); }
	}
	return $value;
}

sub damage_element
{
	my ($type, $element) = @_;

	return undef if below(8) == 0;
	return odd_text() if $type eq 'text[]';
	return int(one_of(0, 1, -1, 2, 3, 4, 1000, 2147483647, -2147483648)) if $type eq 'integer[]';
	return one_of('NaN', 'Infinity', '-Infinity', 0, '3e38', '-3e38', '1e-45', '1e10', below(1000) / 100);
}

# Elements changed, lost or repeated; or arrays of another shape.
sub damage_array
{
	my ($type, @element) = @_;
	my $how = below(9);

	if    ($how == 0) { pop @element; }
	elsif ($how == 1) { push @element, $element[0]; }
	elsif ($how == 2) { @element = (@element, @element); }
	elsif ($how == 3) { @element = (); }
	elsif ($how == 4) { @element = reverse @element; }
	elsif ($how == 5) { $_ = damage_element($type, $_) foreach @element; }
	elsif (@element)
	{
		my $i = below(scalar @element);
		$element[$i] = damage_element($type, $element[$i]);
	}
	my $literal = join ',', map { !defined($_) ? 'NULL' : '"' . s/(["\\])/\\$1/gr . '"' } @element;
	my $shape = @element ? below(12) : 0;
	return $shape == 1 ? "{{$literal}}" : $shape == 2 ? '[3:' . (2 + @element) . "]={$literal}" : "{$literal}";
}

sub damage_value
{
	my ($type, $value) = @_;

	return $json->encode(damage_json($value)) if $type eq 'jsonb';
	return damage_array($type, defined($value) ? @$value : ()) if $type =~ /\[\]$/;
	return undef if below(8) == 0;
	return odd_text() if $type eq 'text';
	return one_of('NaN', 'Infinity', '-Infinity', 0, -1, '1e308', '1e-320') if $type eq 'double precision';
	return one_of(0, 1, -1, 2, 7, 2147483647, -2147483648) if $type eq 'integer';
	return one_of(0, 1, -1, 2, 7, '9223372036854775807', '-9223372036854775808') if $type eq 'bigint';
	return $value;
}

sub quoted
{
	my $value = shift;

	return 'NULL' if !defined $value;
	$value =~ s/'/''/g;
	return "'$value'";
}

my @tables = qw(model_versions cluster_networks network_members weights weights weights checkpoints vocabularies baselines
  training_log clusterings cluster_centroids cluster_label_chunks);
my %columns;
my %rows;
foreach my $table (@tables)
{
	next if $columns{$table};
	$columns{$table} = [ map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', qq{
		SELECT attname, format_type(atttypid, -1) FROM pg_attribute
		WHERE attrelid = 'sessionlen.$table'::regclass AND attnum > 0 AND NOT attisdropped
			AND (attname NOT IN ('model', 'name', 'id', 'owner', 'trained_by') OR '$table.' || attname = 'weights.name') ORDER BY attnum}) ];
	$rows{$table} = [ map { $json->decode($_) } split /\n/, $node->safe_psql('postgres',
		"SELECT to_jsonb(r) || jsonb_build_object('ctid', ctid) FROM sessionlen.$table r ORDER BY ctid") ];
}

sub damage_store
{
	my $table = one_of(@tables);
	my $row = one_of(@{ $rows{$table} });
	my $how = below(15);
	my ($column, $type) = @{ one_of(@{ $columns{$table} }) };

	return "DELETE FROM sessionlen.$table WHERE ctid = '$row->{ctid}'" if $how == 0;
	# a copy, so that the next damage finds it whole
	my $copy = $json->decode($json->encode($row->{$column}));
	return "UPDATE sessionlen.$table SET $column = " . quoted(damage_value($type, $copy)) . ($how == 1 ? '' : " WHERE ctid = '$row->{ctid}'");
}

# ---- and what comes of it ---------------------------------------------------------------

my @statement = map { damage_store() } 1 .. $rounds;
my $readers = $node->safe_psql('postgres', 'SELECT count(*) FROM reader');
my $before = $node->safe_psql('postgres', q{SELECT damaged('SELECT 1')});
is($before, ' ok' x $readers, 'without damage all is well');

my ($out, $err);
my $script = "SET statement_timeout = '60s';\nSET client_min_messages = error;\n" . join '', map { 'SELECT damaged(' . quoted($_) . ");\n" } @statement;
utf8::encode($script) if utf8::is_utf8($script);
my $rc = $node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
my @outcome = split /\n/, $out;
is($rc, 0, 'the session lives');
is($err, '', 'nothing escapes');
is(scalar @outcome, $rounds, "$rounds ways of damage");

my ($refused, $read, $odd, $internal) = (0, 0, 0, 0);
foreach my $i (0 .. $#outcome)
{
	$refused++ if $outcome[$i] =~ /^ refused/;
	$read++ if $outcome[$i] =~ / ok/;
	next if $outcome[$i] !~ /odd|XX000|57014/;
	$odd++ if $outcome[$i] =~ /odd/;
	$internal++ if $outcome[$i] =~ /XX000|57014/;
	diag("$statement[$i]\n  $outcome[$i]");
}
is($internal, 0, 'none is an internal error or endless');
is($odd, 0, 'none gives NaN or infinity');
cmp_ok($refused, '<', $rounds / 2, "most reach a reader ($refused are refused by the tables)");
cmp_ok(scalar(grep { /^(?! refused).*[0-9A-Z]{5}/ } @outcome), '>', $rounds / 10, 'many are found');
is($node->safe_psql('postgres', q{SELECT damaged('SELECT 1')}), $before, 'undone, all is well');

$node->stop;
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/terminated by signal|TRAP:|PANIC:/, 'no process died');
done_testing();
