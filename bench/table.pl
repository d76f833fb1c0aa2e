#!/usr/bin/perl
# table.pl: the tables of "make bench" in Markdown, from what its parts print.
#
# Lines of these forms count, separated by tabs; of the same work and side the least does:
#   RESULT   WORK  SIDE  NUMBER  [NOTE]
#   VERSION  PROGRAM  VERSION
# NUMBER is in seconds.  SIDE is "ours" (for a training step from SQL: "ours, 1 process"
# and "ours, 2 processes"), the name of a peer, or what bounds the work: "limit" in
# seconds, "operations" of products, for all processors or "operations, one core", or
# "bytes" read and written.  WORK "machine" has rates, see limit.c.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

my (%value, %note, @works, %peers, @programs, %version);

sub read_results
{
	while (<STDIN>)
	{
		chomp;
		my ($kind, $work, $side, $number, $note) = split /\t/;
		next unless defined $side and $kind =~ /^(RESULT|VERSION)$/;
		if ($kind eq 'VERSION')
		{
			push @programs, $work unless $version{$work};
			$version{$work} = $side;
			next;
		}
		push @works, $work unless $value{$work};
		my $seen = $value{$work}{$side};
		push @{ $peers{$work} }, $side
		  unless $seen or $side =~ /^(ours|limit|operations|bytes|oneDNN without)/;
		next if $seen and $seen <= $number;
		($value{$work}{$side}, $note{$work}{$side}) = ($number, $note);
	}
}

sub seconds
{
	my $s = shift or return '';
	my ($scale, $unit) = $s < 1e-3 ? (1e6, 'µs') : $s < 1 ? (1e3, 'ms') : (1, 's');
	return sprintf('%.*f %s', digits($s * $scale), $s * $scale, $unit);
}

# Three digits that matter.
sub digits { return $_[0] < 1 ? 3 : $_[0] < 9.995 ? 2 : $_[0] < 99.95 ? 1 : 0 }
sub ms { return $_[0] ? sprintf('%.*f', digits(1e3 * $_[0]), 1e3 * $_[0]) : '' }
sub ratio   { return $_[0] && $_[1] ? sprintf('%.2f', $_[0] / $_[1]) : '' }
sub percent { return $_[0] && $_[1] ? sprintf('%.0f %%', 100 * $_[0] / $_[1]) : '' }

# The least time the work can take on this machine, where something says so.
sub limit
{
	my ($v, $machine) = ($_[0], $value{machine});
	for (['operations, one core', 'products 1'], ['operations', 'products 2'], ['bytes', 'memory 2'])
	{
		my ($amount, $rate) = ($v->{ $_->[0] }, $machine->{ $_->[1] });
		return $amount / $rate if $amount and $rate;
	}
	return $v->{limit};
}

# The first row is the head.  Columns are as wide as they need, to be readable as text;
# those of absent peers are left out.
sub print_table
{
	my @rows = @_;
	my @used = grep { my $i = $_; grep { $_->[$i] ne '' } @rows[1 .. $#rows] } 0 .. $#{ $rows[0] };
	@rows = map { [@$_[@used]] } @rows;
	my @width = map { my $i = $_; (sort { $b <=> $a } map { length $_->[$i] } @rows)[0] } 0 .. $#{ $rows[0] };
	splice @rows, 1, 0, [map { '-' x $_ } @width];
	for my $row (@rows)
	{
		print '| ', join(' | ', map { sprintf '%-*s', $width[$_], $row->[$_] } 0 .. $#width), " |\n";
	}
	print "\n";
}

sub print_steps
{
	my @rows;
	for my $work (grep { /^step / } @works)
	{
		my $v = $value{$work};
		my ($one, $two, $torch) = @$v{ 'ours, 1 process', 'ours, 2 processes', 'PyTorch' };
		my $sql = $two || $one;
		my $threads = $note{$work}{PyTorch} // '';
		my $rate = $value{machine}{ 'products ' . ($sql ? 2 : 1) };
		push @rows, [
			$work =~ s/^step //r, ms($v->{ours}), ms($v->{oneDNN}), ratio($v->{oneDNN}, $v->{ours}),
			ms($one), ms($two), ratio($one, $two),
			ms($torch), $threads =~ s/ threads?//r, ratio($torch, $sql || $v->{ours}),
			percent($v->{operations} && $v->{operations} / ($sql || $v->{ours} || 1), $rate)
		];
	}
	return unless @rows;
	print "One training step, ms: batch × steps × inputs - units\n\n";
	print_table(['network', 'ours, C, 1 core', 'oneDNN', 'ratio', 'SQL, 1 process', '2 processes', 'gain',
			'PyTorch', 'threads', 'ratio', 'of the products\' rate'], @rows);
}

sub print_others
{
	my @rows;
	for my $work (grep { !/^(step |machine$)/ } @works)
	{
		my $v = $value{$work};
		my $limit = limit($v);
		for my $peer (@{ $peers{$work} || [''] })
		{
			my $note = $note{$work}{$peer};
			push @rows, [
				$work, seconds($v->{ours}), $peer . ($note ? " ($note)" : ''), seconds($v->{$peer}),
				ratio($v->{$peer}, $v->{ours}), seconds($limit), percent($limit, $v->{ours})
			];
		}
	}
	print_table(['work', 'ours', 'peer', 'its', 'ratio', 'limit', 'of the limit'], @rows) if @rows;
}

sub print_machine
{
	my $m = $value{machine} or return;
	printf "Limits: matrix products %.0f GFLOP/s by one process, %.0f by two at the same time; memory %.1f and %.1f GB/s.\n",
	  map { ($_ || 0) / 1e9 } @$m{ 'products 1', 'products 2', 'memory 1', 'memory 2' };
}

read_results();
print_steps();
print_others();
print_machine();
print join(', ', map { "$_ $version{$_}" } @programs), ".\n" if @programs;
