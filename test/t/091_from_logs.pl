# Every command and statement of doc/from_logs.md, in order, on a small archive in the
# format of the original.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $dir = PostgreSQL::Test::Utils::tempdir;

system_or_bail('make', '-s', '-C', $top, 'build/listening');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'");
$node->start;

# The archive, beside a link to the scripts: the folder the commands are run in.
mkdir "$dir/made";
mkdir "$dir/made/lastfm-dataset-1K";
mkdir "$dir/run";
symlink "$top/doc", "$dir/run/doc" or die;
command_ok(
	[ "$top/build/listening", '--users', 40, '--original', "$dir/made/lastfm-dataset-1K" ],
	'a log is made');
append_to_file("$dir/made/lastfm-dataset-1K/userid-timestamp-artid-artname-traid-traname.tsv",
	"user_000001\t2009-02-30T00:00:00Z\t\tNo\t\tDay\n");
command_ok([ 'tar', 'czf', "$dir/run/lastfm-dataset-1K.tar.gz", '-C', "$dir/made", 'lastfm-dataset-1K' ],
	'its archive');

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
chdir "$dir/run" or die;

my $page = slurp_file("$top/doc/from_logs.md");
my ($count, $kinds, $all) = (0, '', '');

while ($page =~ /^```(\w+)\n(.*?)^```/msg)
{
	my ($kind, $text) = ($1, $2);
	my ($out, $err);

	$count++;
	$kinds .= $kind eq 'sh' ? 'c' : 's';
	if ($kind eq 'sh')
	{
		IPC::Run::run([ 'sh', '-e', '-c', $text ], '>', \$out, '2>', \$err);
		is($?, 0, "commands of block $count");
	}
	else
	{
		is( $node->psql(
				'listening', $text,
				stdout => \$out,
				stderr => \$err,
				extra_params => [ '-v', 'ON_ERROR_STOP=1' ]),
			0,
			"statements of block $count");
		isnt($out, '', 'they show something');
	}
	is($err // '', '', 'without a complaint');
	$all .= "$out\n";
}
is($kinds, 'csssssssc', 'all blocks of the page');
like($all, qr/^not a time\|1\|\d+$/m, 'the bad line is reported');
like($all, qr/^listening_by_features\|1\|20\|t$/m, 'a model is trained');
like($all, qr/^model\|\d+\|\d+\|0\.\d+$/m, 'it is better than the mean');
like($all, qr/^user_000001\|\d+\nuser_000002\|\d+\nuser_000003\|\d+$/m, 'and predicts');
is( $node->safe_psql('listening', 'SELECT count(*), sum(plays), (SELECT count(*) FROM plays) FROM unique_tracks') =~
	  /\|(\d+)\|\1$/, 1, 'nothing came twice');

$node->stop;
done_testing();
