# Report pages in a browser: nothing loaded or complained about, no sideways scrolling on
# a phone or a desk, readable contrast in light and dark, and printing.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($browser) = grep { -x } map { my $d = $_; map { "$d/$_" } qw(chromium chromium-browser google-chrome) }
  split /:/, $ENV{PATH};
plan skip_all => 'no Chromium to look at the pages with' unless $browser;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION sessionlen;
	CREATE TABLE log AS
	SELECT 'user ' || u || repeat('_very_long_name', 8) AS user_id,
		   timestamptz '2020-01-01' + n * interval '5 hours' AS session_start, n AS session_number,
		   round(exp(5 + 0.02 * u + 5 * ((u * 7919 + n * 104729) % 1009) / 1009.0))::float8 AS session_length
	  FROM generate_series(1, 60) u, generate_series(1, 120) n;
	SELECT sessionlen.train(m, 'log', 'session_length', 'user_id', 'session_start', known => '{session_number}',
		options => '{"epochs": 6, "hidden_dim": 8, "verbose": false, "target_transform": "log1p"}')
	  FROM unnest(ARRAY['listening', repeat('a_very_long_name', 3)]) m;
	SELECT sessionlen.train('quantiles', 'SELECT *, ' || quote_literal(repeat('a long constant ', 40)) || ' AS c FROM log',
		'session_length', 'user_id', 'session_start', known => '{session_number}',
		options => '{"epochs": 2, "hidden_dim": 8, "verbose": false, "target_transform": "log1p", "quantiles": [0.1, 0.5, 0.9]}');
});

# page(name, query): the result in a file.
sub page
{
	my ($name, $query) = @_;

	append_to_file("$dir/$name.html", $node->safe_psql('postgres', "SELECT $query"));
	return $name;
}

# browse(arguments): what Chromium prints and what it says.
sub browse
{
	my @arguments = @_;
	my $profile = PostgreSQL::Test::Utils::tempdir;
	my ($out, $err) = ('', '');

	local $ENV{HOME} = $profile;
	my $ok = IPC::Run::run(
		[
			$browser, qw(--headless --no-sandbox --disable-gpu --disable-background-networking
			  --no-first-run --disable-dev-shm-usage --enable-logging=stderr --allow-file-access-from-files),
			"--user-data-dir=$profile", @arguments
		],
		'>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	diag $err unless $ok;
	return ($out, $err);
}

# The page in a frame of each width, looked over by a script of the test's.
sub looked_over
{
	my ($name, $scheme) = @_;

	append_to_file("$dir/look-$name-$scheme.html", <<"END");
<!DOCTYPE html><body>
<iframe id="w360" src="$name.html" width="360" height="800" style="border:0"></iframe>
<iframe id="w1280" src="$name.html" width="1280" height="800" style="border:0"></iframe>
<pre id="out"></pre>
<script>
function channel(v) { v /= 255; return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); }
function luminance(c) { return 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]); }
function colour(s) { return s.match(/[\\d.]+/g).map(Number); }
function behind(e, view) {
	for (; e; e = e.parentElement) {
		const c = colour(view.getComputedStyle(e).backgroundColor);
		if (c.length == 3 || c[3] > 0) return c;
	}
	return [255, 255, 255];
}
addEventListener('load', () => {
	for (const frame of document.querySelectorAll('iframe')) {
		const d = frame.contentDocument, view = frame.contentWindow, found = new Set();
		let contrast = 21, texts = 0;
		for (const e of d.body.querySelectorAll('*')) {
			const box = e.getBoundingClientRect();
			if (box.right > frame.width && !e.closest('.wide') && !e.closest('details:not([open])')) found.add(e.tagName);
			if (!e.firstChild || e.firstChild.nodeType != 3 || !e.firstChild.data.trim() || e.closest('style')) continue;
			const style = view.getComputedStyle(e);
			const a = luminance(colour(e.closest('svg') ? style.fill : style.color)), b = luminance(behind(e, view));
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (e.tagName != 'title' && e.tagName != 'desc') { contrast = Math.min(contrast, ratio); texts++; }
		}
		document.getElementById('out').textContent += frame.id + ': scrolls ' +
			(d.documentElement.scrollWidth > frame.width) + ', outside [' + [...found] + '], ' +
			(contrast >= 4.5 ? 'readable' : 'contrast ' + contrast) + ', texts ' + (texts > 100 ? 'many' : texts) +
			', paper ' + (luminance(behind(d.body, view)) > 0.5 ? 'light' : 'dark') + ', tags ' +
			d.querySelectorAll('svg, table').length + '\\n';
	}
});
</script></body>
END
	my ($out, $err) = browse(
		$scheme eq 'dark' ? '--blink-settings=preferredColorScheme=0' : (),
		'--virtual-time-budget=10000', '--dump-dom', "file://$dir/look-$name-$scheme.html");

	$out =~ m{<pre id="out">(.*?)</pre>}s or diag $err;
	return ($1, join "\n", grep { /CONSOLE/ } split /\n/, $err);
}

my $long = q{repeat('a_very_long_name', 3)};
for my $name (
	page('model', "sessionlen.report('listening')"),
	page('long', "sessionlen.report($long)"),
	page('quantiles', "sessionlen.report('quantiles')"),
	page('models', "sessionlen.report(ARRAY['listening', 'quantiles', $long], reference => '{\"listening\": 0.87}')"))
{
	for my $scheme (qw(light dark))
	{
		my ($seen, $console) = looked_over($name, $scheme);
		my $one = qr/scrolls false, outside \[\], readable, texts many, paper $scheme, tags ([1-9]\d*)/;

		like($seen, qr/^w360: $one\nw1280: $one\n$/, "$name in $scheme at 360 and 1280 pixels");
		is($console, '', "$name in $scheme: nothing in the console");
	}
	browse('--no-pdf-header-footer', "--print-to-pdf=$dir/$name.pdf", "file://$dir/$name.html");
	like(slurp_file("$dir/$name.pdf"), qr/^%PDF-.{10000}/s, "$name prints");
}

# Drawings by themselves.
for my $query ("sessionlen.plot_learning_curve('listening')", "sessionlen.plot_predictions('listening')")
{
	my ($name) = $query =~ /(plot_\w+)/;

	append_to_file("$dir/$name.svg", $node->safe_psql('postgres', "SELECT $query"));
	my ($out, $err) = browse('--dump-dom', "file://$dir/$name.svg");
	like($out, qr/<svg.*class="sl-svg"/s, "$name is shown");
	unlike($out . $err, qr/parsererror|CONSOLE/, "$name is well-formed");
}

$node->stop;
done_testing();
