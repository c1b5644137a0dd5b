use waybill_types::QueueName;

/// Which scheduled queues an order is about: those that every given part fits. Nothing given fits every queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Criteria {
    /// The campaign in the queue's name.
    pub campaign: Option<String>,
    /// The tenant in the queue's name.
    pub tenant: Option<String>,
    /// The domain in the queue's name, in any case.
    pub domain: Option<String>,
    /// The routing domain in the queue's name, in any case.
    pub routing_domain: Option<String>,
    /// Whole names; when there are some, the queue must be one of them.
    pub queue_names: Vec<String>,
}

impl Criteria {
    /// Whether the queue is meant.
    pub fn fit(&self, queue: &QueueName) -> bool {
        let parts = queue.parts();
        let exact = |wanted: &Option<String>, part: Option<&str>| wanted.as_deref().is_none_or(|w| part == Some(w));
        let in_any_case = |wanted: &Option<String>, part: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted)))
        };
        exact(&self.campaign, parts.campaign)
            && exact(&self.tenant, parts.tenant)
            && in_any_case(&self.domain, Some(parts.domain))
            && in_any_case(&self.routing_domain, parts.routing_domain)
            && (self.queue_names.is_empty() || self.queue_names.iter().any(|name| name == queue.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(criteria: &Criteria) -> Vec<&'static str> {
        const QUEUES: [&str; 5] =
            ["a.example", "t@a.example", "c:t@a.example", "c:@b.example", "t@a.example!r.example"];
        QUEUES.into_iter().filter(|name| criteria.fit(&QueueName::new(*name))).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_given_part_must_fit_and_none_fits_everything() {
        assert_eq!(fits(&Criteria::default()).len(), 5);
        assert_eq!(fits(&Criteria { campaign: some("c"), ..Criteria::default() }), ["c:t@a.example", "c:@b.example"]);
        let tenant_and_domain = Criteria { tenant: some("t"), domain: some("A.example"), ..Criteria::default() };
        assert_eq!(fits(&tenant_and_domain), ["t@a.example", "c:t@a.example", "t@a.example!r.example"]);
        let routing = Criteria { routing_domain: some("r.example"), ..Criteria::default() };
        assert_eq!(fits(&routing), ["t@a.example!r.example"]);
        assert_eq!(fits(&Criteria { campaign: some("x"), tenant: some("t"), ..Criteria::default() }), [""; 0]);
    }

    #[test]
    fn names_are_whole_names_and_narrow_the_rest() {
        let names = vec!["a.example".to_owned(), "c:@b.example".to_owned()];
        let criteria = Criteria { queue_names: names, ..Criteria::default() };
        assert_eq!(fits(&criteria), ["a.example", "c:@b.example"]);
        let criteria = Criteria { domain: some("b.example"), ..criteria };
        assert_eq!(fits(&criteria), ["c:@b.example"]);
    }
}
