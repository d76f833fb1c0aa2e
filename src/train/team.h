/*
 * team.h: processes that compute one training together.  Plain C11.
 *
 * The leader cuts the work of a moment into items (a shard of a batch, a range of the
 * weights) and publishes them on a board in memory that all share; whoever is free claims
 * the next one.  An item's result does not depend on who computes it, so that neither
 * does what is trained; members may come late, leave, or never come at all.  A leader
 * alone works through the same board in memory of its own.
 */
#ifndef SL_TEAM_H
#define SL_TEAM_H

#include <stdatomic.h>

#include "train/trainer.h"

#define SL_MAX_TEAM 16	  /* processes */
#define SL_MAX_ITEMS 4096 /* of one publication */

typedef struct SlBoard
{
	_Atomic uint64_t work; /* number of the publication, items, next item to claim */
	_Atomic uint32_t done; /* items of this publication */
	_Atomic uint32_t cut;  /* number of the publication that should end early */
	/* by member: 1 + the item it has left undone, 0: none */
	_Atomic uint32_t abandoned[SL_MAX_TEAM];
} SlBoard;

/* How a leader reaches the others; all of it is the caller's. */
struct SlTeam
{
	void *arg;
	SlArena shared;			  /* memory all processes have, empty */
	void (*wake)(void *arg);  /* the others, if they sleep: there is work */
	void (*sleep)(void *arg); /* until sl_board_finish() says true, or for a moment */
};

extern void sl_board_init(SlBoard *board);

/* Leader: offers items 0 .. count - 1.  All earlier ones are done. */
extern void sl_board_publish(SlBoard *board, int count);

/* The next item, or -1. */
extern int sl_board_claim(SlBoard *board);

/* One item is done; true for the last one. */
extern bool sl_board_finish(SlBoard *board);

/* Member: will not finish what it has claimed. */
extern void sl_board_abandon(SlBoard *board, int member, int item);

/* Leader: an item that a member has left undone, or -1. */
extern int sl_board_reclaim(SlBoard *board);

extern bool sl_board_all_done(SlBoard *board);

/* Leader: items of this publication should end early; members: whether they should. */
extern void sl_board_cut(SlBoard *board);
extern bool sl_board_is_cut(SlBoard *board);

/* Looks for a few microseconds whether work is to be had; true when there is. */
extern bool sl_board_watch(SlBoard *board);
/* Likewise for the end of the work others have claimed. */
extern bool sl_board_watch_done(SlBoard *board);

#endif
