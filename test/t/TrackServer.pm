# A web server on 127.0.0.1 that plays the Last.fm API's track.getInfo.
#
#     my $server = TrackServer->new($folder, sub { my ($artist, $track, $n) = @_; ... });
#
# The function says how the n-th request for a track is answered, as a hash:
#     status, body, headers   the answer; 200 and '' by default
#     seconds                 how long the answer takes
#     never                   true: no answer comes
#     cut                     true: the connection ends in the middle of the answer
#
# With $server->reset(hold => 3) requests stay unanswered until three are waiting and no
# fourth has come for a moment; with $server->reset(limit => 5) only five are answered.
# Every reset starts counting at the first request again.

package TrackServer;

use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

sub listen_locally
{
	return IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		LocalPort => 0,
		Proto => 'tcp',
		Listen => 100,
		ReuseAddr => 1);
}

# Is there a network of this machine alone?
sub possible
{
	my $socket = listen_locally() or return 0;

	return defined IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $socket->sockport,
		Proto => 'tcp');
}

sub now
{
	return clock_gettime(CLOCK_MONOTONIC);
}

sub new
{
	my ($class, $folder, $answer) = @_;
	my $socket = listen_locally() or die "no socket: $!";
	my $self = bless {
		answer => $answer,
		socket => $socket,
		port => $socket->sockport,
		file => "$folder/requests",
		offset => 0
	}, $class;

	open(my $log, '>>', $self->{file}) or die "$self->{file}: $!";
	$log->autoflush(1);
	$self->{log} = $log;
	$self->{pid} = fork() // die "fork: $!";
	if ($self->{pid} == 0)
	{
		# no destructor of the test may run in this process
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP __DIE__);
		$SIG{PIPE} = 'IGNORE';
		eval { $self->serve; };
		print STDERR "server: $@";
		POSIX::_exit(1);
	}
	$self->{owner} = $$;
	close($socket);
	return $self;
}

sub DESTROY
{
	my ($self) = @_;

	return unless defined $self->{owner} && $self->{owner} == $$;
	local $?;
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
}

sub url
{
	my ($self) = @_;

	return "http://127.0.0.1:$self->{port}/2.0/";
}

# Also ends all connections, so that nothing sent before counts.
sub reset
{
	my ($self, %options) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $self->{port},
		Proto => 'tcp') or die "no connection: $!";

	print $socket 'GET /reset?'
	  . join('&', map { "$_=$options{$_}" } sort keys %options)
	  . " HTTP/1.1\r\n\r\n";
	my $line = <$socket> // '';
	$line =~ / 200 / or die "no reset: $line";
	$self->requests;
}

# What happened since the last call: hashes with what => 'request' or 'answer', time,
# waiting (requests without an answer), artist, track, n and for requests query, agent.
sub events
{
	my ($self) = @_;
	my @events;

	open(my $log, '<', $self->{file}) or die "$self->{file}: $!";
	seek($log, $self->{offset}, 0);
	while (my $line = <$log>)
	{
		last if $line !~ /\n\z/;
		$self->{offset} += length $line;
		chomp $line;
		my %event;
		@event{qw(what time waiting artist track n query agent)} = split /\t/, $line, -1;
		push @events, \%event;
	}
	return @events;
}

sub requests
{
	my ($self) = @_;

	return grep { $_->{what} eq 'request' } $self->events;
}

# ---- the process that serves ----

sub serve
{
	my ($self) = @_;
	my $select = IO::Select->new($self->{socket});

	@$self{qw(clients count hold waiting changed)} = ({}, {}, 0, 0, now());
	while (1)
	{
		for my $socket ($select->can_read(0.005))
		{
			if ($socket == $self->{socket})
			{
				my $client = $socket->accept or next;
				$client->autoflush(1);
				$select->add($client);
				$self->{clients}{$client} = { socket => $client, in => '' };
			}
			else
			{
				$self->read_from($self->{clients}{$socket}) if $self->{clients}{$socket};
			}
		}
		$self->answer_due;
		for my $client (grep { $_->{ended} } values %{ $self->{clients} })
		{
			$select->remove($client->{socket});
			close($client->{socket});
			delete $self->{clients}{ $client->{socket} };
		}
	}
}

sub end
{
	my ($self, $client) = @_;

	$self->{waiting}-- if delete $client->{request};
	$client->{ended} = 1;
}

sub read_from
{
	my ($self, $client) = @_;

	if (!sysread($client->{socket}, $client->{in}, 65536, length $client->{in}))
	{
		$self->end($client);
		return;
	}
	$client->{in} =~ s/\A(.*?)\r\n\r\n//s or return;
	my $head = $1;
	my ($path, $query) = $head =~ m{\AGET (/[^? ]*)\??(\S*) HTTP/1\.1} or die "not HTTP: $head";

	if ($path eq '/reset')
	{
		$self->{count} = {};
		$self->{hold} = $query =~ /hold=(\d+)/ ? $1 : 0;
		$self->{limit} = $query =~ /limit=(\d+)/ ? $1 : undef;
		$self->end($_) for values %{ $self->{clients} };
		print { $client->{socket} } "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
		return;
	}

	my %args = map { decoded($_) } map { /\A([^=]*)=(.*)\z/s } split /&/, $query;
	my ($artist, $track) = @args{qw(artist track)};
	my $n = ++$self->{count}{"$artist\t$track"};
	my ($agent) = $head =~ /^User-Agent: ([^\r\n]*)/mi;

	$client->{request} = { artist => $artist, track => $track, n => $n };
	$client->{answer} =
	  defined $self->{limit} && $self->{limit}-- <= 0
	  ? { never => 1 }
	  : $self->{answer}->($artist, $track, $n);
	$client->{due} = now() + ($client->{answer}{seconds} // 0);
	$self->{waiting}++;
	$self->{changed} = now();
	$self->note('request', $client->{request}, "$path?$query", $agent // '');
}

sub decoded
{
	my ($text) = @_;

	$text =~ s/\+/ /g;
	$text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
	return $text;
}

sub note
{
	my ($self, $what, $request, @more) = @_;

	print { $self->{log} } join("\t",
		$what, now(), $self->{waiting}, @$request{qw(artist track n)}, @more), "\n";
}

# Held requests are let go when enough of them have waited for a fifth of a second, or
# when none has come for three seconds.
sub answer_due
{
	my ($self) = @_;
	my $quiet = now() - $self->{changed};

	return
	  if $self->{hold} > 0
	  && $quiet < ($self->{waiting} < $self->{hold} ? 3 : 0.2);
	for my $client (values %{ $self->{clients} })
	{
		next if !$client->{request} || $client->{answer}{never} || $client->{due} > now();
		$self->answer($client);
	}
}

sub answer
{
	my ($self, $client) = @_;
	my $answer = $client->{answer};
	my $body = $answer->{body} // '';
	my $text = join "\r\n",
	  'HTTP/1.1 ' . ($answer->{status} // 200) . ' Status',
	  'Content-Type: application/json; charset=utf-8',
	  'Content-Length: ' . length $body,
	  @{ $answer->{headers} // [] }, '', $body;
	my $request = delete $client->{request};

	# before the client can know of it
	$self->{waiting}--;
	$self->note('answer', $request);
	if ($answer->{cut})
	{
		syswrite($client->{socket}, substr($text, 0, length($text) - length($body) / 2));
		$self->end($client);
		return;
	}
	print { $client->{socket} } $text;
}

1;
