/* SPDX-License-Identifier: ISC */
/* The words of bounce types and delay types, and what a bounce leads to. */
#include "mail/classify.h"

static const char *const type_names[BOUNCE_TYPES] = {
	[BOUNCE_UNDETERMINED] = "Undetermined",
	[BOUNCE_PERMANENT] = "Permanent",
	[BOUNCE_TRANSIENT] = "Transient",
};
static const char *const subtype_names[BOUNCE_SUBTYPES] = {
	[BOUNCE_SUB_UNDETERMINED] = "Undetermined",
	[BOUNCE_SUB_GENERAL] = "General",
	[BOUNCE_SUB_NO_EMAIL] = "NoEmail",
	[BOUNCE_SUB_SUPPRESSED] = "Suppressed",
	[BOUNCE_SUB_ON_ACCOUNT_LIST] = "OnAccountSuppressionList",
	[BOUNCE_SUB_UNSUBSCRIBED] = "UnsubscribedRecipient",
	[BOUNCE_SUB_MAILBOX_FULL] = "MailboxFull",
	[BOUNCE_SUB_MESSAGE_TOO_LARGE] = "MessageTooLarge",
	[BOUNCE_SUB_CONTENT_REJECTED] = "ContentRejected",
	[BOUNCE_SUB_ATTACHMENT_REJECTED] = "AttachmentRejected",
};
static const char *const delay_names[DELAY_TYPES] = {
	[DELAY_UNDETERMINED] = "Undetermined",
	[DELAY_INTERNAL_FAILURE] = "InternalFailure",
	[DELAY_GENERAL] = "General",
	[DELAY_MAILBOX_FULL] = "MailboxFull",
	[DELAY_SPAM_DETECTED] = "SpamDetected",
	[DELAY_RECIPIENT_SERVER_ERROR] = "RecipientServerError",
	[DELAY_IP_FAILURE] = "IPFailure",
	[DELAY_COMMUNICATION_FAILURE] = "TransientCommunicationFailure",
	[DELAY_HOST_NAME_LOOKUP] = "BYOIPHostNameLookupUnavailable",
	[DELAY_SENDING_DEFERRAL] = "SendingDeferral",
};

const char *
bounce_type_to_text(enum bounce_type t)
{
	must((unsigned)t < BOUNCE_TYPES);
	return type_names[t];
}

const char *
bounce_subtype_to_text(enum bounce_subtype t)
{
	must((unsigned)t < BOUNCE_SUBTYPES);
	return subtype_names[t];
}

const char *
delay_type_to_text(enum delay_type t)
{
	must((unsigned)t < DELAY_TYPES);
	return delay_names[t];
}

const char *
classify_stage_to_text(enum classify_stage s)
{
	static const char *const names[] = { "greeting", "ehlo", "mail",
		"rcpt", "data", "dot", "async" };

	must((unsigned)s <= CLASSIFY_ASYNC);
	return names[s];
}

bool
bounce_suppresses(enum bounce_type t, enum bounce_subtype s)
{
	return t == BOUNCE_PERMANENT && s == BOUNCE_SUB_GENERAL;
}

bool
bounce_counts(enum bounce_type t, enum bounce_subtype s)
{
	return t == BOUNCE_PERMANENT &&
	    (s == BOUNCE_SUB_GENERAL || s == BOUNCE_SUB_NO_EMAIL ||
		s == BOUNCE_SUB_SUPPRESSED);
}
