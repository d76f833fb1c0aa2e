/*
 * fuzz.c: hostile.h driven by libFuzzer, which looks for bytes that reach new code.
 *
 *    make -C test/unit fuzz SECONDS=600
 */
#include "hostile.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0)
		return 0;
	hostile_read(bytes[0] % HOSTILES, bytes + 1, size - 1);
	if (hostile_wrong != NULL)
	{
		fprintf(stderr, "%s: not so: %s\n", hostile[bytes[0] % HOSTILES].name,
				hostile_wrong);
		abort();
	}
	return 0;
}
