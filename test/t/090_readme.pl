# Every SQL statement of the README and of doc/clusters.md, in order, in one session, on invented logs.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');

system_or_bail('make', '-s', '-C', $top, $_) for qw(build/listening build/skips);

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE readme');

chdir $top;
$node->command_ok(
	[
		'psql', '-qX', '-d', $node->connstr('readme'), '-v', 'users=120', '-f',
		'doc/examples/load_listening.sql'
	],
	'the log is loaded');
$node->command_ok(
	[
		'psql', '-qX', '-d', $node->connstr('readme'), '-f',
		'doc/examples/track_metadata.sql'
	],
	'the table of tracks is made');
$node->safe_psql('readme', 'CREATE SCHEMA skips');
{
	local $ENV{PGOPTIONS} = '-c search_path=skips';

	$node->command_ok(
		[
			'psql', '-qX', '-d', $node->connstr('readme'), '-v', 'options=--sessions 500', '-f',
			'doc/examples/load_skips.sql'
		],
		'the log of skips is loaded');
}

my @blocks =
  map { slurp_file("$top/$_") =~ /^```sql\n(.*?)^```/msg } 'README.md', 'doc/clusters.md';

cmp_ok(scalar(@blocks), '>', 10, 'the README has examples');

# one session: later examples use temporary tables of earlier ones
my $script = join "\n", map { "\\echo block $_\n$blocks[$_]" } 0 .. $#blocks;
my ($out, $err);
my $status = $node->psql(
	'readme', $script,
	stdout => \$out,
	stderr => \$err,
	on_error_die => 0,
	extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);

is($status, 0, 'all of them run');
is($err // '', '', 'without a complaint');
my @reached = $out =~ /^block (\d+)$/mg;
is(scalar(@reached), scalar(@blocks), 'to the last one');
like($out, qr/^user_000004\|/m, 'users get their predictions');

done_testing();
