/* SPDX-License-Identifier: ISC */
#include "base/reserve.h"

#include <stdatomic.h>
#include <stdlib.h>

static struct {
	_Atomic(void *) block;
	_Atomic size_t	size; /* 0 = none is kept */
	atomic_bool	is_short;
} reserve;

void
reserve_keep(size_t n)
{
	atomic_store(&reserve.size, n);
	free(atomic_exchange(&reserve.block, NULL));
	atomic_store(&reserve.is_short, n > 0);
	(void)reserve_refill();
}

bool
reserve_spend(void)
{
	if (atomic_load(&reserve.size) == 0)
		return false;
	/* before the memory is back: who sees it has been warned */
	atomic_store(&reserve.is_short, true);
	/* another thread may just have freed it, for both */
	free(atomic_exchange(&reserve.block, NULL));
	return true;
}

bool
reserve_is_short(void)
{
	return atomic_load_explicit(&reserve.is_short, memory_order_relaxed);
}

/* Large enough to be a mapping of its own, which a free() gives back. */
bool
reserve_refill(void)
{
	void *p, *none = NULL;

	if (!reserve_is_short())
		return true;
	p = malloc(atomic_load(&reserve.size));
	if (p == NULL)
		return false;
	if (!atomic_compare_exchange_strong(&reserve.block, &none, p))
		free(p);
	atomic_store(&reserve.is_short, false);
	return true;
}
