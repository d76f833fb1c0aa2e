/*
 * skip_session.c: the invented catalogue and the sessions' plays; see skip_session.h.
 */
#include "skip_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CATALOGUE_SEED 20180715
#define GENRES 12

/* Streams of the catalogue, by purpose. */
enum
{
	FEATURES,
	IDS,
	GENRE,
	CONTEXT,
	PURPOSES = 8
};

static SlDraw
catalogue_draw(int purpose, int tracks, int index)
{
	return (SlDraw){.seed = CATALOGUE_SEED + (uint64_t) tracks,
					.stream = (uint64_t) index * PURPOSES + (uint64_t) purpose};
}

/* ---- tracks ---- */

int
sl_playlists(int tracks)
{
	return (tracks + SL_PLAYLIST - 1) / SL_PLAYLIST;
}

static double
rounded(double value)
{
	return round(value * 1e6) / 1e6;
}

/* A value in 0..1, reflected at the ends. */
static double
fraction(double value)
{
	value = fabs(value);
	if (value > 1.0)
		value = fabs(2.0 - value);
	return rounded(fmin(value, 1.0));
}

/* Around where its genre and its playlist are, with much of its own. */
static double
feature_of(SlDraw *genre, SlDraw *playlist, SlDraw *own)
{
	double centre = 0.25 + 0.5 * sl_draw_uniform(genre);

	return fraction(centre + 0.08 * sl_draw_normal(playlist) + 0.2 * sl_draw_normal(own));
}

/* A feature that goes along with another one. */
static double
like(SlDraw *own, double feature, double spread)
{
	return fraction(feature + spread * sl_draw_normal(own));
}

void
sl_track(int index, int tracks, SlTrack *track)
{
	int list = index / SL_PLAYLIST;
	SlDraw playlist = catalogue_draw(GENRE, tracks, list);
	SlDraw genre = catalogue_draw(GENRE, 0, sl_draw_below(&playlist, GENRES));
	SlDraw own = catalogue_draw(FEATURES, tracks, index);
	SlDraw *d = &own;
	double rank = log(index + 1.0) / log(tracks + 1.0);

	for (int f = 0; f < SL_TASTES; f++)
		track->taste[f] = feature_of(&genre, &playlist, d);
	track->appeal = sl_draw_normal(d);
	track->duration = rounded(fmin(fmax(220.0 * exp(0.25 * sl_draw_normal(d)), 60), 900));
	track->release_year = 2018 - (int) fmin(60.0, 6.0 * sl_draw_exponential(d));
	track->popularity = rounded(100.0 - 10.0 * rank * rank * sl_draw_uniform(d));
	track->beat_strength = like(d, track->taste[3], 0.1);
	track->bounciness = like(d, track->taste[3], 0.07);
	track->dyn_range_mean = rounded(4.0 + 10.0 * like(d, 0.4, 0.15));
	track->flatness = rounded(0.9 + 0.15 * like(d, 0.6, 0.15));
	track->instrumentalness = rounded(pow(sl_draw_uniform(d), 6.0));
	track->key = sl_draw_below(d, 12);
	track->liveness = rounded(0.05 + 0.9 * pow(sl_draw_uniform(d), 3.0));
	track->loudness = rounded(-22.0 + 18.0 * like(d, track->taste[0], 0.1));
	track->mechanism = like(d, 0.9 - 0.6 * track->taste[2], 0.15);
	track->major = sl_draw_uniform(d) < 0.65;
	track->organism = like(d, 0.1 + 0.7 * track->taste[2], 0.1);
	track->speechiness = rounded(0.03 + 0.6 * pow(sl_draw_uniform(d), 3.0));
	track->tempo = rounded(120.0 + 28.0 * sl_draw_normal(d));
	track->time_signature = sl_draw_uniform(d) < 0.9 ? 4 : 3;
	for (int i = 0; i < SL_ACOUSTIC; i++)
		track->acoustic[i] =
			rounded(1.6 * (sl_draw_uniform(&genre) - 0.5) +
					0.15 * sl_draw_normal(&playlist) + 0.2 * sl_draw_normal(d));
}

/* ---- names ---- */

static void
print_id(char id[SL_ID_SIZE], const char *prefix, uint64_t a, uint64_t b)
{
	snprintf(id, SL_ID_SIZE,
			 "%s_%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
			 prefix, a >> 32, a >> 16 & 0xffff, a & 0xfff, (b >> 48 & 0x3fff) | 0x8000,
			 b & UINT64_C(0xffffffffffff));
}

void
sl_track_id(int index, int tracks, char id[SL_ID_SIZE])
{
	uint64_t seed = CATALOGUE_SEED + (uint64_t) tracks;
	uint64_t stream = (uint64_t) index * PURPOSES + IDS;

	print_id(id, "t", sl_random_bits(seed, stream, 0), sl_random_bits(seed, stream, 1));
}

void
sl_session_id(uint64_t seed, int64_t session, char id[SL_ID_SIZE])
{
	uint64_t stream = (uint64_t) session | UINT64_C(1) << 62;

	print_id(id, "0", sl_random_bits(seed, stream, 0), sl_random_bits(seed, stream, 1));
}

/* ---- what is played ---- */

int
sl_draw_length(SlDraw *draw)
{
	/* Millions of sessions of 10 to 20 tracks. */
	static const double published[] = {11.0, 9.6, 8.4, 7.3, 6.5, 5.7,
									   5.0,	 4.4, 3.9, 3.5, 59.6};
	double u = 124.9 * sl_draw_uniform(draw);
	int i = 0;

	while (i < SL_SESSION_MOST - SL_SESSION_LEAST && u >= published[i])
		u -= published[i++];
	return SL_SESSION_LEAST + i;
}

void
sl_draw_user(SlDraw *draw, int tracks, SlUser *user)
{
	user->premium = sl_draw_uniform(draw) < 0.8;
	for (int i = 0; i < SL_FAVOURITES; i++)
		user->favourite[i] = sl_draw_zipf(draw, sl_playlists(tracks));
}

/* A place in 0..n-1, each as likely, or the first ones more. */
static int
draw_place(SlDraw *draw, int n, bool shuffle)
{
	return shuffle ? sl_draw_below(draw, n) : sl_draw_zipf(draw, n);
}

static int
draw_playlist(SlDraw *draw, int tracks, const SlUser *user)
{
	if (user && sl_draw_uniform(draw) < 0.6)
		return user->favourite[sl_draw_zipf(draw, SL_FAVOURITES)];
	return sl_draw_zipf(draw, sl_playlists(tracks));
}

static const char *
context_of(int tracks, int list)
{
	static const char *const type[] = {
		"user_collection", "editorial_playlist",	"catalog",
		"radio",		   "personalized_playlist", "charts"};
	static const double share[] = {0.40, 0.20, 0.18, 0.12, 0.06};
	SlDraw draw = catalogue_draw(CONTEXT, tracks, list);
	double u = sl_draw_uniform(&draw);
	int i = 0;

	while (i < 5 && u >= share[i])
		u -= share[i++];
	return type[i];
}

/* How many tracks this playlist has: the last one may be shorter. */
static int
size_of(int tracks, int list)
{
	int rest = tracks - list * SL_PLAYLIST;

	return rest < SL_PLAYLIST ? rest : SL_PLAYLIST;
}

/* Seldom, and then more than once at times. */
static int
draw_seeks(SlDraw *draw)
{
	int n = 0;

	while (n < 20 && sl_draw_uniform(draw) < (n == 0 ? 0.03 : 0.4))
		n++;
	return n;
}

void
sl_draw_session(SlDraw *draw, int tracks, const SlUser *user, SlSkipSession *session)
{
	int list = draw_playlist(draw, tracks, user);
	int place;
	double peak = 17.0 + 5.0 * sl_draw_normal(draw);

	session->premium = user ? user->premium : sl_draw_uniform(draw) < 0.8;
	session->shuffle = sl_draw_uniform(draw) < 0.35;
	session->hour = ((int) peak % 24 + 24) % 24;
	place = draw_place(draw, size_of(tracks, list), session->shuffle);
	for (int i = 0; i < session->length; i++)
	{
		SlSkipPlay *play = &session->play[i];
		double next = sl_draw_uniform(draw);
		double pause = sl_draw_uniform(draw);

		play->context_switch = i > 0 && next < 0.06;
		if (play->context_switch)
			list = draw_playlist(draw, tracks, user);

		int size = size_of(tracks, list);

		if (play->context_switch || (i > 0 && (session->shuffle || next < 0.16)))
			place = draw_place(draw, size, session->shuffle);
		else if (i > 0)
			place = (place + 1) % size;
		play->track = list * SL_PLAYLIST + place;
		play->context_type = context_of(tracks, list);
		play->pause = i == 0 || pause > 0.9 ? 2 : pause > 0.8 ? 1 : 0;
		play->seek_forward = draw_seeks(draw);
		play->seek_back = draw_seeks(draw);
	}
}

/* ---- how it was received ---- */

static const char *
draw_end(SlDraw *draw, bool cut, bool last)
{
	double u = sl_draw_uniform(draw);

	if (last && u < 0.4)
		return u < 0.25 ? "endplay" : "logout";
	u = sl_draw_uniform(draw);
	if (cut)
		return u < 0.86 ? "fwdbtn" : u < 0.94 ? "backbtn" : "endplay";
	return u < 0.97 ? "trackdone" : u < 0.99 ? "endplay" : "trackerror";
}

/* Why the next track started, from why this one ended. */
static const char *
draw_start(SlDraw *draw, const char *end)
{
	if (strcmp(end, "trackdone") == 0 || strcmp(end, "fwdbtn") == 0 ||
		strcmp(end, "backbtn") == 0 || strcmp(end, "trackerror") == 0)
		return end;
	return sl_draw_uniform(draw) < 0.7 ? "clickrow" : "playbtn";
}

void
sl_draw_reactions(SlDraw *draw, unsigned skipped, SlSkipSession *session)
{
	const char *end = "";

	for (int i = 0; i < session->length; i++)
	{
		SlSkipPlay *play = &session->play[i];
		double u = sl_draw_uniform(draw);

		/* Half of the skips come within seconds; some tracks end near their end. */
		if (skipped >> i & 1)
			play->skip = u < 0.48 ? 0 : 1;
		else
			play->skip = u < 0.25 ? 2 : 3;
		play->reason_start =
			i == 0 && sl_draw_uniform(draw) < 0.2 ? "appload" : draw_start(draw, end);
		end = draw_end(draw, play->skip < 3, i == session->length - 1);
		play->reason_end = end;
	}
}
