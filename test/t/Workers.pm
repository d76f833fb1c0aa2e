# A server on which work by several processes can be watched.

package Workers;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(new_server worker_pids wait_for_workers wait_for_any_worker segments check_interrupt);

# Its segments of shared memory are files of its own: they can be counted, and made to fail.
sub new_server
{
	my $node = PostgreSQL::Test::Cluster->new('main');

	$node->init;
	$node->append_conf('postgresql.conf', "max_worker_processes = 8\ndynamic_shared_memory_type = mmap");
	$node->start;
	return $node;
}

sub worker_pids
{
	my ($node) = @_;
	my $postmaster = $node->safe_psql('postgres', q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});

	return map { /^\s*(\d+)\s.*sessionlen worker for PID/ ? $1 : () } `ps -o pid=,args= --ppid $postmaster`;
}

# True once there are so many; false after three minutes.
sub wait_for_workers
{
	my ($node, $count) = @_;

	for (1 .. 1800)
	{
		return 1 if scalar(worker_pids($node)) == $count;
		usleep(100_000);
	}
	return 0;
}

# The same where their number depends on the machine.
sub wait_for_any_worker
{
	my ($node) = @_;

	for (1 .. 1800)
	{
		return 1 if worker_pids($node);
		usleep(100_000);
	}
	return 0;
}

sub segments
{
	my ($node) = @_;

	return scalar(grep { /^mmap\./ } slurp_dir($node->data_dir . '/pg_dynshmem'));
}

# Ends ("cancel" or "terminate") the statement of the session "victim", which start begins,
# putting what it prints where its two arguments refer to; a session that is not terminated
# prints what is expected.
sub check_interrupt
{
	my ($node, $how, $start, $expected, $segments) = @_;
	my ($out, $err) = ('', '');
	my $psql = $start->(\$out, \$err);
	my $begin = time;

	$node->safe_psql('postgres', qq{SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'});
	$psql->finish;
	cmp_ok(time - $begin, '<', 20, "$how: soon");
	like($err, $how eq 'cancel' ? qr/canceling statement due to user request/ : qr/terminating connection/, "$how: error");
	is($out, $expected, "$how: the session goes on") if $how eq 'cancel';
	ok(wait_for_workers($node, 0), "$how: workers end");
	is(segments($node), $segments, "$how: no segment is left");
}

1;
