/*
 * follow.c: see follow.h.
 *
 * Pairs are counted in a hash table with open addressing.  Once all are there they are
 * laid out by the first item, each item's followers sorted by count, and beside them by
 * popularity, so that a rank is a walk over one item's followers.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "predict/follow.h"
#include "sessionlen.h"

typedef struct Slot
{
	uint64 pair; /* 0: free, as items count from 1 */
	int64 count;
} Slot;

typedef struct Follower
{
	int64 count;
	int32 item;
} Follower;

struct SlFollow
{
	int items;
	int32 *place; /* [items + 1], by popularity, from 1 */
	Slot *slot;
	uint64 slots; /* a power of two */
	uint64 pairs;
	int64 *start;		/* [items + 2], of each item's followers */
	Follower *follower; /* most frequent first */
};

static void *
huge(Size count, Size width)
{
	if (count > (Size) sl_memory_limit * 1024 / width)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("pairs of items do not fit into sessionlen.memory_limit"),
				 errdetail("%zu of them take %zu MB.", count, count * width >> 20),
				 errhint("Raise sessionlen.memory_limit, or give a source with fewer "
						 "training rows.")));
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(count, 1) * width,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* ---- popularity ---- */

typedef struct Popular
{
	int64 rows;
	int32 item;
} Popular;

static int
by_rows(const void *a, const void *b)
{
	const Popular *x = a;
	const Popular *y = b;

	if (x->rows != y->rows)
		return x->rows > y->rows ? -1 : 1;
	return x->item < y->item ? -1 : x->item > y->item;
}

SlFollow *
sl_follow_create(int items, const int64 *item_rows)
{
	SlFollow *follow = palloc0(sizeof(SlFollow));
	Popular *popular = huge(items, sizeof(Popular));

	follow->items = items;
	follow->place = huge((Size) items + 1, sizeof(int32));
	for (int i = 0; i < items; i++)
		popular[i] = (Popular){item_rows[i], i + 1};
	qsort(popular, items, sizeof(Popular), by_rows);
	for (int i = 0; i < items; i++)
		follow->place[popular[i].item] = i + 1;
	pfree(popular);
	follow->slots = 1024;
	follow->slot = huge(follow->slots, sizeof(Slot));
	return follow;
}

int64
sl_follow_popularity(const SlFollow *follow, int item)
{
	return follow->place[item];
}

/* ---- counting ---- */

/* The slot of a pair, or the free one where it belongs. */
static Slot *
find(const SlFollow *follow, uint64 pair)
{
	uint64 at = pair * UINT64CONST(0x9e3779b97f4a7c15);

	for (at ^= at >> 32;; at++)
	{
		Slot *slot = &follow->slot[at & (follow->slots - 1)];

		if (slot->pair == pair || slot->pair == 0)
			return slot;
	}
}

static void
grow(SlFollow *follow)
{
	Slot *old = follow->slot;
	uint64 slots = follow->slots;

	follow->slot = huge(slots * 2, sizeof(Slot));
	follow->slots = slots * 2;
	for (uint64 i = 0; i < slots; i++)
	{
		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (old[i].pair != 0)
			*find(follow, old[i].pair) = old[i];
	}
	pfree(old);
}

void
sl_follow_add(SlFollow *follow, int item, int next)
{
	uint64 pair = (uint64) item << 32 | (uint32) next;
	Slot *slot = find(follow, pair);

	if (slot->pair == 0)
	{
		if (++follow->pairs > follow->slots / 2)
		{
			grow(follow);
			slot = find(follow, pair);
		}
		slot->pair = pair;
	}
	slot->count++;
}

/* ---- ranks ---- */

static int
by_count(const void *a, const void *b, void *arg)
{
	const Follower *x = a;
	const Follower *y = b;
	const int32 *place = arg;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return place[x->item] - place[y->item];
}

void
sl_follow_finish(SlFollow *follow)
{
	int64 *at;

	follow->start = huge((Size) follow->items + 2, sizeof(int64));
	for (uint64 i = 0; i < follow->slots; i++)
		if (follow->slot[i].pair != 0)
			follow->start[(follow->slot[i].pair >> 32) + 1]++;
	for (int i = 0; i <= follow->items; i++)
		follow->start[i + 1] += follow->start[i];
	CHECK_FOR_INTERRUPTS();
	follow->follower = huge(follow->pairs, sizeof(Follower));
	at = huge((Size) follow->items + 1, sizeof(int64));
	for (uint64 i = 0; i < follow->slots; i++)
	{
		const Slot *slot = &follow->slot[i];
		int item = (int) (slot->pair >> 32);

		if (slot->pair != 0)
			follow->follower[follow->start[item] + at[item]++] =
				(Follower){slot->count, (int32) (uint32) slot->pair};
	}
	pfree(at);
	pfree(follow->slot);
	follow->slot = NULL;
	for (int i = 1; i <= follow->items; i++)
	{
		CHECK_FOR_INTERRUPTS();
		qsort_arg(follow->follower + follow->start[i],
				  (size_t) (follow->start[i + 1] - follow->start[i]), sizeof(Follower),
				  by_count, follow->place);
	}
}

int64
sl_follow_rank(const SlFollow *follow, int previous, int item)
{
	int64 rank = follow->place[item];
	const Follower *first = follow->follower + follow->start[previous];
	int64 count = follow->start[previous + 1] - follow->start[previous];

	/* those that did not come after it move down by those that did and are less popular
	 */
	for (int64 i = 0; i < count; i++)
	{
		if (first[i].item == item)
			return i + 1;
		if (follow->place[first[i].item] > follow->place[item])
			rank++;
	}
	return rank;
}
