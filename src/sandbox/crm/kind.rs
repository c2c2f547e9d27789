//! The object types of the sandbox, and what differs between them.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sandbox) enum Kind {
    Contact,
    Company,
    Deal,
    Ticket,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Contact, Self::Company, Self::Deal, Self::Ticket];

    /// The type that a path or body means: `contacts`, `contact` or `0-1`, in any case.
    pub(in crate::sandbox) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            [kind.plural(), kind.singular(), kind.type_id()]
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
        })
    }

    pub(in crate::sandbox) fn plural(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Company => "companies",
            Self::Deal => "deals",
            Self::Ticket => "tickets",
        }
    }

    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
            Self::Ticket => "ticket",
        }
    }

    pub(super) fn capitalised(self) -> &'static str {
        match self {
            Self::Contact => "Contact",
            Self::Company => "Company",
            Self::Deal => "Deal",
            Self::Ticket => "Ticket",
        }
    }

    pub(super) fn type_id(self) -> &'static str {
        match self {
            Self::Contact => "0-1",
            Self::Company => "0-2",
            Self::Deal => "0-3",
            Self::Ticket => "0-5",
        }
    }

    /// The property that holds the time of the last change.
    pub(super) fn modified(self) -> &'static str {
        match self {
            Self::Contact => "lastmodifieddate",
            _ => "hs_lastmodifieddate",
        }
    }

    /// What is answered when no properties are asked for.
    pub(super) fn shown(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &[
                "createdate",
                "email",
                "firstname",
                "hs_object_id",
                "lastmodifieddate",
                "lastname",
            ],
            Self::Company => {
                &["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"]
            }
            Self::Deal => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "hs_object_id",
                "pipeline",
            ],
            Self::Ticket => &[
                "content",
                "createdate",
                "hs_lastmodifieddate",
                "hs_object_id",
                "hs_pipeline",
                "hs_pipeline_stage",
                "hs_ticket_category",
                "hs_ticket_priority",
                "subject",
            ],
        }
    }

    /// What the `query` of a search looks into.
    pub(super) fn searched(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &["email", "firstname", "lastname", "phone", "company"],
            Self::Company => &["name", "domain", "phone"],
            Self::Deal => &["dealname", "dealstage", "pipeline"],
            Self::Ticket => &["subject", "content"],
        }
    }
}
