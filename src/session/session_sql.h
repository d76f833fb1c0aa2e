/*
 * session_sql.h: arguments and results that the SQL functions of this room share.
 */
#ifndef SL_SESSION_SQL_H
#define SL_SESSION_SQL_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "fmgr.h"

#include "session/session.h"

#define SL_DEFAULT_GAP (30 * USECS_PER_MINUTE)

/* Columns of the type sessionlen.session */
enum
{
	SL_SESSION_NUMBER,
	SL_SESSION_START,
	SL_SESSION_END,
	SL_SESSION_LENGTH,
	SL_SESSION_EVENTS,
	SL_SESSION_PREVIOUS,
	SL_SESSION_AVERAGE,
	SL_SESSION_ABSENCE,
	SL_SESSION_COLUMNS
};

extern _Noreturn void sl_event_refuse(SlEventStatus status, TimestampTz ts,
									  double seconds);
extern int64 sl_gap_arg(const Interval *gap);
extern _Noreturn void sl_gap_differs(void);
extern TupleDesc sl_session_desc(Oid type, MemoryContext context);
extern Datum sl_session_datum(TupleDesc desc, const SlSession *session);

/* An event from its arguments; an unknown duration is given as 0. */
static inline SlEvent
sl_event_arg(TimestampTz ts, double seconds)
{
	SlEvent event;
	SlEventStatus status = sl_event_check(ts, seconds, &event);

	if (unlikely(status != SL_EVENT_OK))
		sl_event_refuse(status, ts, seconds);
	return event;
}

#endif
