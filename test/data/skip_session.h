/*
 * skip_session.h: the invented catalogue, and what is played in a session.
 *
 * The catalogue is cut into playlists of SL_PLAYLIST tracks that sound alike.  A session
 * stays in a playlist for some tracks, in order or shuffled, and then goes on to another;
 * popular playlists come first and are played most (Zipf's law).  So the next
 * track can be guessed, and tracks played near each other are those of a playlist: the
 * neighbours an embedding should find.  Nothing here knows of moods, and skips
 * only decide what is drawn after the track was played.
 *
 * The catalogue depends on its size alone: logs with other seeds play the same tracks.
 */
#ifndef SL_SKIP_SESSION_H
#define SL_SKIP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "draw.h"
#include "skip_law.h"

#define SL_PLAYLIST 25
#define SL_ID_SIZE 40
#define SL_ACOUSTIC 8
#define SL_FAVOURITES 4

/* The file's columns are these rounded to six digits. */
typedef struct SlTrack
{
	double taste[SL_TASTES]; /* energy, valence, acousticness, danceability */
	double duration;
	int release_year;
	double popularity;
	double beat_strength;
	double bounciness;
	double dyn_range_mean;
	double flatness;
	double instrumentalness;
	int key;
	double liveness;
	double loudness;
	double mechanism;
	bool major;
	double organism;
	double speechiness;
	double tempo;
	int time_signature;
	double acoustic[SL_ACOUSTIC];
	double appeal; /* standard normal; not in the files */
} SlTrack;

/* One of --users: premium or not, and some playlists of their own. */
typedef struct SlUser
{
	bool premium;
	int favourite[SL_FAVOURITES];
} SlUser;

typedef struct SlSkipPlay
{
	int track;
	bool context_switch; /* a playlist begins, but for the session's first */
	const char *context_type;
	int skip;  /* 3: none, else 0, 1, 2: skip_1, skip_2, skip_3 is the first that is true
				*/
	int pause; /* 0 none, 1 short, 2 long */
	int seek_forward;
	int seek_back;
	const char *reason_start;
	const char *reason_end;
} SlSkipPlay;

typedef struct SlSkipSession
{
	int length;
	bool premium;
	bool shuffle;
	int hour;
	SlSkipPlay play[SL_SESSION_MOST];
} SlSkipSession;

extern int sl_playlists(int tracks);
extern void sl_track(int index, int tracks, SlTrack *track);
extern void sl_track_id(int index, int tracks, char id[SL_ID_SIZE]);
extern void sl_session_id(uint64_t seed, int64_t session, char id[SL_ID_SIZE]);

/* Among the published lengths, 10 to 20, as often as in the data set. */
extern int sl_draw_length(SlDraw *draw);

extern void sl_draw_user(SlDraw *draw, int tracks, SlUser *user);

/* All that does not depend on skips; session->length is given, user may be NULL. */
extern void sl_draw_session(SlDraw *draw, int tracks, const SlUser *user,
							SlSkipSession *session);

/* What the skips look like: one bit for each position. */
extern void sl_draw_reactions(SlDraw *draw, unsigned skipped, SlSkipSession *session);

#endif
