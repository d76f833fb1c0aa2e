/*
 * served.h: models kept in this backend between statements.
 */
#ifndef SL_SERVED_H
#define SL_SERVED_H

#include "store/store.h"

/*
 * The version of a model that serves now, loaded at most once a backend.  It stays valid
 * until user is reset or deleted, even if another version is deployed meanwhile.  Looks
 * the model up with the caller's rights, so call it once a statement, not once a row.
 */
extern const SlModel *sl_served_get(const char *model, MemoryContext user);

#endif
