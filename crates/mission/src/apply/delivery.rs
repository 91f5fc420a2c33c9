//! The result's way to the user and back.

use super::*;
use crate::delivery::ENGINE;

impl Mission {
    pub(super) fn delivery_event(&mut self, event: &Event) {
        match event {
            Event::DeliverAsked { form } => self.want_delivery(*form),
            Event::DeliveryPlanned { plan, files } => {
                if let Delivery::Wanted(form) = self.delivery {
                    self.delivery = Delivery::Planned {
                        form,
                        plan: plan.clone(),
                        files: *files,
                    };
                }
            }
            Event::Delivered { files, .. } => {
                if let Delivery::Planned { form, .. } = self.delivery {
                    self.delivery = Delivery::Done { form };
                    self.handed.push(Handed {
                        n: self.deliveries,
                        form,
                        files: *files,
                        commit: self.head.as_ref().map(|(commit, _)| commit.clone()),
                    });
                }
            }
            Event::DeliveryRefused { .. } => self.delivery = Delivery::Refused,
            Event::UndoAsked { by } => {
                self.undos += 1;
                self.broke_off |= by == ENGINE;
                if let Some(Handed { form, .. }) = self.handed.last() {
                    self.delivery = Delivery::Undoing { form: *form };
                }
            }
            Event::Undone { .. } => {
                self.handed.pop();
                self.delivery = Delivery::Undone;
            }
            Event::UndoFailed { .. } => {
                if let Delivery::Undoing { form } = self.delivery {
                    self.delivery = Delivery::Done { form };
                }
            }
            _ => {}
        }
    }

    pub(super) fn want_delivery(&mut self, form: Deliver) {
        self.delivery = Delivery::Wanted(form);
        self.broke_off = false;
        self.deliveries += 1;
    }
}
