# A server on which work by several processes can be watched.

package Workers;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

our @EXPORT = qw(new_server worker_pids wait_for_workers wait_for_any_worker segments);

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

1;
