# build/track_info against a server on this machine that answers as the Last.fm API does:
# what it asks for and when, what it makes of every answer, and that it can be interrupted.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use TrackServer;

my $top = abs_path(dirname(__FILE__) . '/../..');
my $program = "$top/build/track_info";

plan skip_all => 'no headers of libcurl'
  if system('echo "#include <curl/curl.h>" | cc -E - >/dev/null 2>&1') != 0;
plan skip_all => 'no network of this machine alone' if !TrackServer::possible();

delete $ENV{PGAPPNAME};
delete $ENV{$_} for grep { /_proxy\z/i } keys %ENV;
$ENV{LASTFM_API_KEY} = 'secret&key';

system_or_bail('make', '-s', '-C', $top, 'build/track_info');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->start;

# ---- the answers ----

sub found
{
	my ($duration, $tags) = @_;

	return {
		body => qq({"track":{"name":"x","duration":$duration,"listeners":"1",)
		  . qq("artist":{"name":"y","mbid":""},"toptags":$tags,)
		  . q("wiki":{"summary":"\ud83c\udfb5 \u00e9"}}})
	};
}

sub failure
{
	my ($status, $error, $message) = @_;

	return { status => $status, body => qq({"error":$error,"message":"$message"}) };
}

my $pop = found('"240000"', '{"tag":[{"name":"Pop","url":"u"},{"name":"dance"}]}');

# By artist: the answers to the first, second, ... request; the last one stays.
my %answers = (
	'Cher & Co' => [$pop],
	"Bj\xc3\xb6rk" => [ found('"0"', '""') ],
	'One+Tag' => [ found('200500', '{"tag":{"name":" Trip Hop "}}') ],
	'Unknown' => [ failure(200, 6, 'Track not found') ],
	'Unknown 404' => [ failure(404, 6, 'Track not found') ],
	'Busy' => [ failure(200, 16, 'Try again'), failure(500, '"8"', 'Operation failed'), $pop ],
	'Bad gateway' => [ { status => 502, body => '<html>' }, $pop ],
	'Malformed' => [ { body => '{"track":{"duration":"24' } ],
	'Not UTF-8' => [ { body => qq({"track":{"name":"\xff"}}) } ],
	'Empty' => [ {} ],
	'Cut off' => [ { %$pop, cut => 1 }, $pop ],
	'Endless' => [ { body => '[' x 5_000_000 } ],
	'Hung' => [ { never => 1 } ],
	'Slow' => [ { %$pop, seconds => 0.2 } ],
	'Over limit' =>
	  [ { %{ failure(200, 29, 'Rate limit exceeded') }, headers => ['Retry-After: 1'] }, $pop ],
	'Offline' => [ { status => 503, headers => ['Retry-After: 1'] }, $pop ],
	'Wrong key' => [ failure(403, 10, 'Invalid API key') ],
	'Suspended' => [ failure(200, 26, 'Suspended API key') ],
	'Tomorrow' => [ { status => 429, headers => ['Retry-After: 86400'] } ]);

# Of other artists: by the track's number.
my @by_number = map { [$pop] } 0 .. 9;
$by_number[1] = [ failure(200, 6, 'Track not found') ];
$by_number[3] = [ { status => 500 }, $pop ];
$by_number[5] = [ { body => '{' } ];
$by_number[7] = [ { %$pop, cut => 1 }, found('"1000"', '[]') ];

my $server = TrackServer->new(
	PostgreSQL::Test::Utils::tempdir,
	sub {
		my ($artist, $track, $n) = @_;
		my $steps = $answers{$artist} // $by_number[ $track =~ /(\d)\z/ ? $1 : 0 ];

		return $steps->[ $n > @$steps ? -1 : $n - 1 ];
	});

# ---- running it ----

my $database = 'postgres';

sub query
{
	my ($sql) = @_;

	return $node->safe_psql($database, $sql);
}

# A new database with these tracks, as [artist, track, plays].
sub set_up
{
	my ($name, @tracks) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$database = $name;
	$node->run_log(
		[
			'psql', '-qX', '-d', $node->connstr($database), '-f',
			"$top/doc/examples/track_metadata.sql"
		]) or die 'track_metadata.sql';
	query('CREATE TABLE unique_tracks (artist_name text, track_name text, plays bigint)');
	add_tracks(@tracks);
	$server->reset;
}

sub add_tracks
{
	query('INSERT INTO unique_tracks VALUES '
		  . join(', ', map { my ($a, $t, $n) = @$_; "(\$\$$a\$\$, \$\$$t\$\$, $n)" } @_))
	  if @_;
}

sub command
{
	return (
		$program, '--dbname', $node->connstr($database), '--url', $server->url,
		'--rate=1000', '--backoff=0.01', '--tries=3', @_);
}

# Exit status and messages.
sub run
{
	my $messages;

	IPC::Run::run([ command(@_) ], '<', \undef, '>&', \$messages);
	my $status = $? & 127 ? "signal $?" : $? >> 8;
	note($messages);
	return ($status, $messages);
}

sub asked
{
	return join "\n", map { "$_->{artist} - $_->{track}" } @_;
}

sub wait_for(&)
{
	my ($condition) = @_;

	for (1 .. 180 * 200)
	{
		return 1 if $condition->();
		usleep(5_000);
	}
	return 0;
}

my $rows = 'SELECT artist_name, track_name, duration, genres, status, reason, tries'
  . ' FROM track_metadata ORDER BY artist_name, track_name';

# ---- options ----

{
	local $ENV{LASTFM_API_KEY};
	my ($status, $messages) = run();

	is($status, 2, 'no key');
	like($messages, qr/LASTFM_API_KEY is not set/, 'no key: message');
}
for my $wrong ('--rate=0', '--rate=nan', '--rate=1x', '--parallel=1.5', '--url=file:///etc/passwd',
	'--nonsense', 'argument')
{
	my ($status, $messages) = run($wrong);

	is($status, 2, "wrong option: $wrong");
	like($messages, qr/see --help/, "wrong option: $wrong: message");
}
{
	my ($status, $messages) = run();

	is($status, 1, 'no table');
	like($messages, qr/HINT:  doc\/examples\/track_metadata\.sql/, 'no table: hint');
	($status, $messages) = run('--dbname=port=1 host=/nonexistent');
	is($status, 1, 'no server');
}
is(scalar($server->requests), 0, 'nothing was asked for');

# ---- answers ----

my @tracks = (
	[ 'Cher & Co', 'Believe? 100% = "yes"', 90 ],
	[ "Bj\xc3\xb6rk", "J\xc3\xb3ga", 80 ],
	[ 'One+Tag', 'a/b#c', 70 ],
	[ 'Unknown', 'Song', 60 ],
	[ 'Busy', 'Song', 50 ],
	[ 'Malformed', 'Song', 40 ],
	[ 'Cut off', 'Song', 30 ],
	[ 'Bad gateway', 'Song', 25 ],
	[ 'Not UTF-8', 'Song', 20 ],
	[ 'Endless', 'Song', 10 ],
	[ 'Unknown 404', 'Song', 5 ],
	[ 'Empty', 'Song', 4 ]);

set_up('answers', @tracks,
	[ 'cher & co', 'BELIEVE? 100% = "YES"', 1 ],
	[ '', 'no artist', 99 ],
	[ 'no track', '', 99 ]);
query(q{INSERT INTO unique_tracks VALUES (NULL, 'x', 99), ('x', NULL, 99), ('Cher & Co', 'Last', 3), ('Cher & Co', 'Never', 0)});

my ($status, $messages) = run('--parallel=1');
my @requests = $server->requests;
is($status, 0, 'all kinds of answers');
my $expected = join "\n",
  "bj\xc3\xb6rk|j\xc3\xb3ga||{}|found||1",
  'bad gateway|song|240|{pop,dance}|found||2',
  'busy|song|240|{pop,dance}|found||3',
  'cher & co|believe? 100% = "yes"|240|{pop,dance}|found||1',
  'cher & co|last|240|{pop,dance}|found||1',
  'cut off|song|240|{pop,dance}|found||2',
  'empty|song||{}|failed|malformed answer|3',
  'endless|song||{}|failed|answer too long|3',
  'malformed|song||{}|failed|malformed answer|3',
  'not utf-8|song||{}|failed|malformed answer|3',
  'one+tag|a/b#c|200.5|{"trip hop"}|found||1',
  'unknown 404|song||{}|not found|error 6: Track not found|1',
  'unknown|song||{}|not found|error 6: Track not found|1';
is(join("\n", sort split /\n/, query($rows)), join("\n", sort split /\n/, $expected),
	'the table');
is(asked(grep { $_->{n} == 1 } @requests),
	asked(map { { artist => $_->[0], track => $_->[1] } } @tracks, [ 'Cher & Co', 'Last' ]),
	'each track is asked for by its most played spelling, most played first');
is(scalar(grep { $_->{waiting} > 1 } @requests), 0, 'one request at a time');
like($requests[0]{query},
	qr{^/2\.0/\?method=track\.getInfo&format=json&autocorrect=1&api_key=secret%26key&},
	'the request');
like($requests[0]{agent}, qr{^sessionlen-track_info/\d}, 'the program says who it is');
unlike($messages, qr/secret/, 'the key is in no message');
like($messages, qr/7 tracks found, 2 not found, 4 failed; 25 requests/, 'summary');

($status) = run('--parallel=4');
is($status, 0, 'run it again');
is(scalar($server->requests), 0, 'nothing is asked for twice');
is(query($rows), query($rows), 'and nothing changes');

# Failures are asked for again after a time, known answers never.
my $known = query(qq{SELECT * FROM track_metadata WHERE status <> 'failed' ORDER BY 1, 2});
$server->reset;
run('--again=0', '--tries=1');
is(asked(sort { $a->{artist} cmp $b->{artist} } $server->requests),
	"Empty - Song\nEndless - Song\nMalformed - Song\nNot UTF-8 - Song",
	'only failures are tried again');
is(query(q{SELECT string_agg(DISTINCT tries::text, ',') FROM track_metadata WHERE status = 'failed'}),
	'1', 'and recorded anew');
is(query(qq{SELECT * FROM track_metadata WHERE status <> 'failed' ORDER BY 1, 2}),
	$known, 'other rows stay');
query(q{UPDATE track_metadata SET artist_name = 'some 0', asked_at = now() - interval '25 hours'
		WHERE artist_name = 'empty'});
query(q{UPDATE unique_tracks SET artist_name = 'Some 0' WHERE artist_name = 'Empty'});
run();
is(asked($server->requests), 'Some 0 - Song', 'by default after a day');
is(query(q{SELECT duration, genres, status, reason FROM track_metadata
			WHERE artist_name = 'some 0'}),
	'240|{pop,dance}|found|', 'a failure becomes an answer');

# New tracks, some of them, from another query.
add_tracks(map { [ 'New', "Track ${_}0", $_ ] } 1 .. 5);
run('--limit=2');
is(asked($server->requests), "New - Track 50\nNew - Track 40", 'as many as wanted');
run('--query', q{SELECT artist_name, track_name, plays::float8 FROM unique_tracks
				WHERE track_name = 'Track 20' -- whatever it ends with});
is(asked($server->requests), 'New - Track 20', 'tracks of a query');

# ---- what the server may do to an answer ----

my @read = (
	[ 200, '{"track":{"duration":"-1","toptags":{"tag":[]}}}', 'found||{}|' ],
	[ 200, '{"track":{"duration":null,"toptags":null}}', 'found||{}|' ],
	[ 200, '{"track":{"duration":"12345678901234567890"}}', 'found||{}|' ],
	[ 200, '{"track":{"duration":1.5e5,"toptags":[]}}', 'found|150|{}|' ],
	[ 200, '{"track":{"duration":1e999999}}', 'retry|||malformed answer' ],
	[ 200, '{"track":{"duration":" 1500 ","toptags":"\\n  "}}', 'found|1.5|{}|' ],
	[ 200, '{"track":{"toptags":{"tag":[{"name":"B"},{"name":"a"},{"name":" b "},"x",{"name":""},'
		  . '{"name":null},null,{}]}}}', 'found||{b,a}|' ],
	[ 200, '{"track":{"toptags":{"tag":"rock"}}}', 'found||{}|' ],
	[ 200, '{"track":{"toptags":{"tag":{"name":"\\u0000"}}}}', 'retry|||malformed answer' ],
	[ 200, '{"track":[]}', 'retry|||neither a track nor an error' ],
	[ 200, '[1]', 'retry|||neither a track nor an error' ],
	[ 200, 'null', 'retry|||neither a track nor an error' ],
	[ 200, '{"error":7,"message":"x"}', 'not found|||error 7: x' ],
	[ 200, '{"error":11}', 'pause|||error 11' ],
	[ 200, '{"error":29,"message":"x"}', 'pause|||error 29: x' ],
	[ 429, '<html>', 'pause|||HTTP status 429' ],
	[ 503, '', 'pause|||HTTP status 503' ],
	[ 503, '{"error":8,"message":"x"}', 'retry|||error 8: x' ],
	[ 500, '{"track":{}}', 'retry|||HTTP status 500' ],
	[ 301, '', 'retry|||HTTP status 301' ],
	[ 200, '{"error":99,"message":"x"}', 'retry|||error 99: x' ],
	[ 200, '{"error":{"a":1}}', 'retry|||error {"a": 1}' ],
	(map { [ 200, qq({"error":$_,"message":"x"}), "stop|||error $_: x" ] } 2, 3, 4, 5, 10, 26),
	[ 200, '[' x 100_000, 'retry|||malformed answer' ]);
for my $case (@read)
{
	my ($http, $body, $result) = @$case;

	is(query('SELECT verdict, duration, genres, reason FROM read_track_answer('
			  . "$http, decode('" . unpack('H*', $body) . "', 'hex'))"),
		$result, "answer with status $http: " . substr($body, 0, 80));
}

# ---- limits ----

set_up('limits', map { [ 'Held', "Track ${_}0", $_ ] } 1 .. 12);
$server->reset(hold => 3);
run('--parallel=3');
@requests = $server->requests;
is(scalar(@requests), 12, 'several requests at a time');
is((sort { $b <=> $a } map { $_->{waiting} } @requests)[0], 3, 'as many as wanted, no more');
is(query('SELECT count(*) FROM track_metadata'), 12, 'all are answered');

# Twenty requests, the first at once: the last starts 19 intervals later, or more.
query('TRUNCATE track_metadata, unique_tracks');
add_tracks(map { [ 'Paced', "Track ${_}0", $_ ] } 1 .. 20);
$server->reset;
my $begin = TrackServer::now();
run('--parallel=8', '--rate=40');
@requests = $server->requests;
is(scalar(@requests), 20, 'a rate');
cmp_ok($requests[-1]{time} - $begin, '>=', 19 / 40, 'is not exceeded');

# A service that wants a pause gets it, from all requests.
for my $artist ('Over limit', 'Offline')
{
	query('TRUNCATE track_metadata, unique_tracks');
	add_tracks([ $artist, 'Song', 100 ], map { [ 'Other', "Track ${_}0", $_ ] } 1 .. 5);
	$server->reset;
	run('--parallel=1');
	my @events = $server->events;
	is(scalar(grep { $_->{what} eq 'request' } @events), 7, "$artist: one more request");
	is($events[0]{artist}, $artist, "$artist: asked for first");
	cmp_ok($events[2]{time} - $events[1]{time}, '>=', 1, "$artist: Retry-After is kept");
	is(query(q{SELECT count(*) FROM track_metadata WHERE status = 'found'}),
		6, "$artist: all are found");
}

# Delays grow: half of 0.2, 0.4 and 0.8 seconds at least.
query('TRUNCATE track_metadata, unique_tracks');
add_tracks([ 'Malformed', 'Song', 1 ]);
$server->reset;
run('--backoff=0.2', '--tries=4');
my @events = $server->events;
is(scalar(@events), 8, 'four tries');
for my $try (1 .. 3)
{
	cmp_ok($events[ 2 * $try ]{time} - $events[ 2 * $try - 1 ]{time},
		'>=', 0.1 * 2**($try - 1), "delay after try $try");
}

# Time-outs.  The slow answer is in time.
query('TRUNCATE track_metadata, unique_tracks');
add_tracks([ 'Hung', 'Song', 2 ]);
$server->reset;
run('--timeout=0.3', '--tries=2');
is(scalar($server->requests), 2, 'a request that times out is tried again');
is(query($rows), 'hung|song||{}|failed|Timeout was reached|2', 'and recorded');
add_tracks([ 'Slow', 'Song', 2 ]);
run('--timeout=100');
is(query(q{SELECT status FROM track_metadata WHERE artist_name = 'slow'}), 'found',
	'a slow answer');

# ---- what ends a run ----

for my $case ([ 'Wrong key', 'error 10: Invalid API key' ],
	[ 'Suspended', 'error 26: Suspended API key' ],
	[ 'Tomorrow', 'the service asks to be left alone for more than an hour' ])
{
	my ($artist, $why) = @$case;

	query('TRUNCATE track_metadata, unique_tracks');
	add_tracks(
		[ 'First', 'Track 0', 100 ],
		[ $artist, 'Song', 50 ],
		map { [ 'Other', "Track ${_}0", $_ ] } 1 .. 5);
	$server->reset;
	($status, $messages) = run('--parallel=1');
	is($status, 1, "$artist: the run ends");
	like($messages, qr/stopped: \Q$why\E/, "$artist: and says why");
	unlike($messages, qr/secret/, "$artist: without the key");
	is(asked($server->requests), "First - Track 0\n$artist - Song", "$artist: at once");
	is(query('SELECT artist_name FROM track_metadata'), 'first', "$artist: with what is known");
}

query('TRUNCATE track_metadata, unique_tracks');
add_tracks(map { [ 'Broken', "Track ${_}5", $_ ] } 1 .. 9);
$server->reset;
($status, $messages) = run('--give-up=4', '--tries=2', '--parallel=1');
is($status, 1, 'a service out of order');
like($messages, qr/stopped: 4 tracks failed in a row, the last one with: malformed answer/,
	'says why');
is(query(q{SELECT count(*) FROM track_metadata WHERE reason = 'malformed answer' AND tries = 2}),
	4, 'the failures are recorded');
($status, $messages) = run('--url', do { my $s = TrackServer::listen_locally(); 'http://127.0.0.1:' . $s->sockport },
	'--give-up=2', '--tries=1');
is($status, 1, 'no service at all');
like($messages, qr/Could(n't| not) connect to server/, 'says so');

# The database goes away: what was committed stays.
query('TRUNCATE track_metadata, unique_tracks');
add_tracks(map { [ 'Held', "Track ${_}0", $_ ] } 1 .. 200);
$server->reset;
my $client = 'SELECT count(*) FROM pg_stat_activity WHERE application_name = \'track_info\'';
{
	my $output;
	my $run = IPC::Run::start([ command('--batch=1', '--parallel=1', '--rate=20') ],
		'<', \undef, '>&', \$output);

	ok(wait_for { query('SELECT count(*) FROM track_metadata') > 2 }, 'answers are committed');
	query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			 WHERE application_name = 'track_info'});
	$run->finish;
	is($run->result(0), 1, 'no database');
	like($output, qr/error: .*connection/s, 'says so');
}
my %seen = map { $_->{track} => 1 } $server->requests;
my $have = query('SELECT count(*) FROM track_metadata');
cmp_ok($have, '<', 200, 'some tracks are left');
cmp_ok($have, '>=', keys(%seen) - 1, 'one answer is lost at most');
run();
is(scalar($server->requests), 200 - $have, 'the next run asks for the rest');

# ---- interruptions ----

query('TRUNCATE track_metadata, unique_tracks');
add_tracks(map { [ 'Held', "Track ${_}0", $_ ] } 1 .. 30);
for my $signal (qw(INT TERM HUP))
{
	my $output;
	$server->reset(limit => 5);
	my $run = IPC::Run::start([ command('--parallel=1') ], '<', \undef, '>&', \$output);
	my @answered;

	ok(wait_for { push @answered, grep { $_->{what} eq 'answer' } $server->events; @answered == 5 },
		"SIG$signal: it is at work");
	$run->signal($signal);
	$run->finish;
	is($run->result(0), 130, "SIG$signal: exit status");
	like($output, qr/interrupted; the next run goes on from here/, "SIG$signal: message");
	cmp_ok(query('SELECT count(*) FROM track_metadata'),
		'>=', 4, "SIG$signal: what was answered is there");
	query('DELETE FROM track_metadata');
}

# While the program waits for a long time it can be interrupted too.
query(q{TRUNCATE track_metadata, unique_tracks});
add_tracks([ 'Hung', 'Song', 1 ]);
$server->reset;
{
	my $output;
	my $run = IPC::Run::start([ command('--timeout=3000') ], '<', \undef, '>&', \$output);

	ok(wait_for { $server->requests > 0 }, 'it waits for an answer');
	$run->signal('INT');
	$run->finish;
	is($run->result(0), 130, 'and no longer');
}
is(query('SELECT count(*) FROM track_metadata'), 0, 'nothing is recorded');

# Two at a time: the second waits and has nothing to do.
query(q{TRUNCATE track_metadata, unique_tracks});
add_tracks(map { [ 'Both', "Track ${_}0", $_ ] } 1 .. 20);
$server->reset;
{
	my ($one, $two) = ('', '');
	my $first = IPC::Run::start([ command('--rate=20') ], '<', \undef, '>&', \$one);

	ok(wait_for { $server->requests > 0 }, 'one is at work');
	$server->{offset} = 0;
	my $second = IPC::Run::start([ command() ], '<', \undef, '>&', \$two);
	$first->finish;
	$second->finish;
	is($first->result(0) . $second->result(0), '00', 'two at a time');
	my %count;
	$count{ $_->{track} }++ for grep { $_->{artist} eq 'Both' } $server->requests;
	is(join(',', sort values %count), join(',', (1) x 20), 'each track is asked for once');
}

# ---- the README's section, with this server's address ----

{
	my ($section) =
	  slurp_file("$top/README.md") =~ /^### Durations and genres from the web\n(.*?)^#/ms;
	my @commands = $section =~ /^    \$ (.*)$/mg;
	my @statements = $section =~ /^```sql\n(.*?)^```/msg;

	is(scalar(@commands), 4, 'commands of the README');
	is(scalar(@statements), 2, 'statements of the README');
	$node->safe_psql('postgres', 'CREATE DATABASE readme');
	$database = 'readme';
	query(q{CREATE TABLE plays (artist_name text, track_name text, duration float8);
			INSERT INTO plays VALUES ('Other', 'Track 10', NULL), ('other', 'track 10', NULL),
				('Other', 'Track 10', 7), ('Other', 'Track 11', NULL), (NULL, 'Track', NULL)});
	$server->reset;

	local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, $database);
	my $script = join ' && ', "cd '$top'", @commands;
	my $url = $server->url;
	is($script =~ s/(build\/track_info) --/$1 --url=$url --/g, 1, 'one of them asks');
	is(system('bash', '-c', $script), 0, 'they run');
	is(asked($server->requests), "Other - Track 10\nOther - Track 11", 'and ask');
	is(query($statements[0]), "not found|error 6: Track not found|1\nfound||1", 'answers');
	query($statements[1]);
	is(query('SELECT * FROM plays ORDER BY artist_name COLLATE "C", track_name, duration'),
		"Other|Track 10|7\nOther|Track 10|240\nOther|Track 11|\nother|track 10|240\n|Track|",
		'durations of plays');
}

# ---- killed at random ----

my @many = map { [ 'Artist ' . $_ % 13, "Track $_", 1 + $_ * 7919 % 701 ] } 0 .. 699;

set_up('calm', @many);
($status) = run('--tries=2', '--give-up=0');
is($status, 0, 'an undisturbed run');
my $calm = query($rows);
is(query(q{SELECT status, reason, tries, count(*) FROM track_metadata GROUP BY 1, 2, 3 ORDER BY 1, 2, 3}),
	"failed|malformed answer|2|70\nfound||1|420\nfound||2|140\nnot found|error 6: Track not found|1|70",
	'has answers of all kinds');

set_up('killed', @many);
srand(20061122);
my ($kills, $again, $grown, %known) = (0, 0, 0);

sub again
{
	return scalar grep { $known{"$_->{artist}\t$_->{track}"} } @_;
}

for (1 .. 50)
{
	my $requests = 1 + int rand 16;
	my $more = int rand 7;
	my $delay = int rand 15_000;
	my @run;

	# so that however slow this process is, the run can't come to its end
	$again += again($server->reset(limit => $requests + $more));
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		open(STDERR, '>', '/dev/null');
		exec(command('--tries=2', '--give-up=0', '--batch=5')) or POSIX::_exit(1);
	}
	wait_for { push @run, $server->requests; @run >= $requests };
	usleep($delay);
	kill 'KILL', $pid;
	waitpid($pid, 0);
	$kills++ if $? == 9;

	# its server process may still be committing
	wait_for { query($client) == 0 };
	push @run, $server->requests;
	$again += again(@run);
	my %now = map { $_ => 1 } split /\n/,
	  query(q{SELECT initcap(artist_name) || E'\t' || initcap(track_name) FROM track_metadata});
	$grown++ if keys %now > keys %known;
	%known = %now;
}
note(scalar(keys %known) . " tracks after $kills kills");
is($kills, 50, 'killed 50 times');
cmp_ok($grown, '>', 5, 'killed runs leave what they have learnt');
cmp_ok(scalar(keys %known), '<', 700, 'none of them came to the end');
$again += again($server->reset);
($status) = run('--tries=2', '--give-up=0', '--batch=5');
is($status, 0, 'the last run is left alone');
my @last = $server->requests;
$again += again(@last);
is(scalar(grep { $_->{n} == 1 } @last), 700 - keys %known, 'and asks for the rest');
is($again, 0, 'no known answer was asked for again');
is(query($rows), $calm, 'the table is that of the undisturbed run');

done_testing();
